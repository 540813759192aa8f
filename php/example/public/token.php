<?php

// Gives whoever is signed in a token: the page asks for one when it joins, and for the next one in time.

declare(strict_types=1);

namespace Example;

require_once __DIR__ . '/../site.php';

$visitor = requireVisitor();

header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo mint()->mint($visitor['id'], [ROOM], TOKEN_SECONDS, ['name' => $visitor['name']]);
