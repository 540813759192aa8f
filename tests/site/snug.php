<?php
// AUTH_URL points here. For each request to join a room, Snug sends the user's cookies and the room's name.
function refuse(int $status): void
{
    http_response_code($status);
    exit;
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') refuse(405);
// Release the session lock at once, so that the user's other pages do not wait. Users without a session get none.
if (isset($_COOKIE[session_name()])) session_start(['read_and_close' => true, 'use_strict_mode' => true]);
if (!isset($_SESSION['user'])) refuse(401);
$room = json_decode(file_get_contents('php://input'), true)['room'] ?? null;
if (!in_array($room, ['lobby', "user:$_SESSION[user]"], true)) refuse(403);

header('Content-Type: application/json');
echo json_encode([
    'sub' => (string) $_SESSION['user'],
    'exp' => time() + (int) ini_get('session.gc_maxlifetime'),
    'rooms' => [$room],
    'info' => ['name' => $_SESSION['name']],
]);
