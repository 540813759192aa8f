<?php

// AUTH_URL points here. For each request to join a room, Snug sends the user's cookies and the room's name, and
// this page responds with the user's claims.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    respond(405);
}
$user = requireUser();
$room = json_decode((string) file_get_contents('php://input'), true)['room'] ?? null;
if ($room !== ROOM) {
    respond(403);
}

header('Content-Type: application/json');
echo json_encode([
    'sub' => $user['id'],
    'exp' => time() + TOKEN_SECONDS,
    'rooms' => [$room],
    'info' => ['name' => $user['name']],
], JSON_THROW_ON_ERROR);
