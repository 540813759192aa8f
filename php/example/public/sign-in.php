<?php

// Takes the form by which visitors sign in. That it asks for no password is all that it leaves out.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

openSession();
requireForm();

$name = is_string($_POST['name'] ?? null) ? trim($_POST['name']) : '';
if (preg_match('/^[\p{L}\p{M}\p{N} .\'’-]{1,24}$/Du', $name) !== 1) {
    goHome();
}
// A session that somebody else may know of must not become this visitor's.
session_regenerate_id(true);
$_SESSION = ['visitor' => [
    // Who signs in twice is two people, as there are no passwords; so nobody is taken for another one of that name.
    'id' => $name . '#' . bin2hex(random_bytes(3)),
    'name' => $name,
    'by' => ($_POST['by'] ?? null) === 'cookie' ? 'cookie' : 'token',
]];
goHome();
