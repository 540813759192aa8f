<?php

// Handles the sign-in form. To keep the example short, it does not ask for a password.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

openSession();
requireCsrfToken();

$name = is_string($_POST['name'] ?? null) ? trim($_POST['name']) : '';
if (preg_match('/^[\p{L}\p{M}\p{N} .\'’-]{1,24}$/Du', $name) !== 1) {
    redirectHome();
}
// Prevents session fixation.
session_regenerate_id(true);
$_SESSION = ['user' => [
    // The same name is the same user on every device and after every sign-in.
    'id' => "user:$name",
    'name' => $name,
    'auth' => ($_POST['auth'] ?? null) === 'cookie' ? 'cookie' : 'token',
]];
redirectHome();
