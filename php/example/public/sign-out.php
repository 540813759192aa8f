<?php

// Signs the visitor out, here and in the chat.

declare(strict_types=1);

namespace Example;

use Snug\SnugException;

require_once __DIR__ . '/../site.php';

openSession();
requireForm();
$visitor = visitor();

$_SESSION = [];
session_destroy();
setcookie(session_name(), '', ['expires' => 1, 'path' => '/']);

if ($visitor) {
    try {
        // The connections of all tabs end, and none begins by a token that holds for some minutes more.
        snug()->room(ROOM)->ban($visitor['id'], TOKEN_SECONDS + LEEWAY_SECONDS, 'signed out');
    } catch (SnugException $e) {
        // The session is over all the same, and so is the chat when the token ends.
        error_log((string) $e);
    }
}
goHome();
