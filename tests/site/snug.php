<?php
// The page that AUTH_URL names: Snug sends it the cookies of whoever wants to join a room.
function refuse(int $status): void
{
    http_response_code($status);
    exit;
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') refuse(405);
// Only read, so that no other page of the user's waits for this one; and who has no session gets none.
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
