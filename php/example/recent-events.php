<?php

// Stores the room's latest events in a file. A real site would use its database.

declare(strict_types=1);

namespace Example;

use Snug\WebhookDelivery;

require_once __DIR__ . '/site.php';

/** The number of events kept. */
const RECENT_EVENTS_MAX = 8;

/** Stores the events of a delivery. Skips those already processed, which Snug sends again if a response was lost. */
function storeEvents(WebhookDelivery $delivery): void
{
    $file = fopen(recentEventsFile(), 'c+');
    flock($file, LOCK_EX);
    $stored = json_decode((string) stream_get_contents($file), true) ?? ['seq' => 0, 'events' => []];
    foreach ($delivery->events as $event) {
        if ($event->seq > $stored['seq']) {
            $stored['seq'] = $event->seq;
            $stored['events'][] = ['type' => $event->type, 'time' => $event->time, 'user' => $event->user];
        }
    }
    $stored['events'] = array_slice($stored['events'], -RECENT_EVENTS_MAX);
    ftruncate($file, 0);
    rewind($file);
    fwrite($file, json_encode($stored, JSON_THROW_ON_ERROR));
    fclose($file);
}

/**
 * Returns the latest events, newest first.
 *
 * @return list<array{type: string, time: int, user: ?string}>
 */
function recentEvents(): array
{
    $file = recentEventsFile();
    $stored = is_file($file) ? json_decode((string) file_get_contents($file), true) : null;
    return array_reverse($stored['events'] ?? []);
}

function recentEventsFile(): string
{
    return setting('EXAMPLE_DATA', sys_get_temp_dir()) . '/snug-example-events.json';
}
