<?php

// The page that AUTH_URL names: Snug sends it the cookies of whoever wants to join a room, and takes its word.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    refuse(405);
}
$visitor = requireVisitor();
$room = json_decode((string) file_get_contents('php://input'), true)['room'] ?? null;
if ($room !== ROOM) {
    refuse(403);
}

header('Content-Type: application/json');
echo json_encode([
    'sub' => $visitor['id'],
    'exp' => time() + TOKEN_SECONDS,
    'rooms' => [$room],
    'info' => ['name' => $visitor['name']],
], JSON_THROW_ON_ERROR);
