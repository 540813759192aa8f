<?php

// Says something to everybody, as the site: from a terminal, or from cron.
//
//   php php/example/announce.php 'We close at six.'

declare(strict_types=1);

namespace Example;

use Snug\SnugException;

require_once __DIR__ . '/site.php';

$text = trim($argv[1] ?? '');
if ($text === '') {
    fwrite(STDERR, "usage: php announce.php TEXT\n");
    exit(2);
}
try {
    $stored = snug()->room(ROOM)->publish(['text' => $text], event: 'notice');
    echo "said, as message $stored->offset\n";
} catch (SnugException $e) {
    fwrite(STDERR, "not said: {$e->getMessage()}\n");
    exit(1);
}
