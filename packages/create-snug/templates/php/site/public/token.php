<?php

// Returns a token for the signed-in user. The client fetches one to join, and another before it expires.

declare(strict_types=1);

require_once __DIR__ . '/../site.php';

// A user without a session gets none here.
if (isset($_COOKIE[session_name()])) {
    openSession();
}
$user = currentUser();
if ($user === null) {
    http_response_code(401);
    exit;
}
header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo mintToken($user);
