<?php

// Publishes a notice to the chat in the site's name, from a terminal or from cron:
//
//   php php/example/send-notice.php 'We close at six.'

declare(strict_types=1);

namespace Example;

use Snug\SnugException;

require_once __DIR__ . '/site.php';

$text = trim($argv[1] ?? '');
if ($text === '') {
    fwrite(STDERR, "usage: php send-notice.php TEXT\n");
    exit(2);
}
try {
    $published = snug()->room(ROOM)->publish(['text' => $text], event: 'notice');
    echo "sent as message $published->offset\n";
} catch (SnugException $e) {
    fwrite(STDERR, "not sent: {$e->getMessage()}\n");
    exit(1);
}
