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
        // The ban closes the connections of all tabs, and keeps the user out until the last token has expired.
        snug()->room(ROOM)->ban($user['id'], TOKEN_SECONDS + LEEWAY_SECONDS, 'signed out');
    } catch (SnugException $e) {
        // The session has ended all the same, and the connections close when their token expires.
        error_log((string) $e);
    }
}
redirectHome();
