<?php

// Returns a token for the signed-in user. The client fetches one to join, and another before it expires.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

$user = requireUser();

header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo tokens()->mint($user['id'], [ROOM], TOKEN_SECONDS, ['name' => $user['name']]);
