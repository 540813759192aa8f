<?php

// What has happened in the room, as the webhook tells it: kept in a file, as another site would in its database.

declare(strict_types=1);

namespace Example;

use Snug\Delivery;

require_once __DIR__ . '/site.php';

/** How many events are kept. */
const LATELY_MAX = 8;

/**
 * Keeps what is new of a delivery. What was told before, as its answer was lost, is told again, and is not new.
 */
function remember(Delivery $delivery): void
{
    $file = fopen(latelyFile(), 'c+');
    flock($file, LOCK_EX);
    $known = json_decode((string) stream_get_contents($file), true) ?? ['seq' => 0, 'events' => []];
    foreach ($delivery->events as $event) {
        if ($event->seq > $known['seq']) {
            $known['seq'] = $event->seq;
            $known['events'][] = ['type' => $event->type, 'time' => $event->time, 'user' => $event->user];
        }
    }
    $known['events'] = array_slice($known['events'], -LATELY_MAX);
    ftruncate($file, 0);
    rewind($file);
    fwrite($file, json_encode($known, JSON_THROW_ON_ERROR));
    fclose($file);
}

/**
 * The newest events, newest first.
 *
 * @return list<array{type: string, time: int, user: ?string}>
 */
function lately(): array
{
    $known = is_file(latelyFile()) ? json_decode((string) file_get_contents(latelyFile()), true) : null;
    return array_reverse($known['events'] ?? []);
}

function latelyFile(): string
{
    return setting('EXAMPLE_DATA', sys_get_temp_dir()) . '/snug-example-lately.json';
}
