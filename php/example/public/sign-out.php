<?php

// Signs the user out of the site and of the chat.

declare(strict_types=1);

namespace Example;

use Snug\SnugException;

require_once __DIR__ . '/../site.php';

openSession();
requireCsrfToken();
$user = currentUser();

$_SESSION = [];
session_destroy();
setcookie(session_name(), '', ['expires' => 1, 'path' => '/']);

if ($user) {
    try {
        // Ends the tokens that the user has. Other devices on which the user is signed in get new ones from this site.
        snug()->room(ROOM)->endTokens($user['id'], TOKEN_SECONDS);
    } catch (SnugException $e) {
        // The session has ended all the same, and the connections close when their token expires.
        error_log((string) $e);
    }
}
redirectHome();
