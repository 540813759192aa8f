<?php

// Returns a token for the signed-in visitor. The client fetches one to join, and another before it expires.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

$visitor = requireVisitor();

header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo tokens()->mint($visitor['id'], [ROOM], TOKEN_SECONDS, ['name' => $visitor['name']]);
