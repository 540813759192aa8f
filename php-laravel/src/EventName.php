<?php

declare(strict_types=1);

namespace Snug\Laravel;

/** Names of Laravel's events, as Snug transmits them. */
final class EventName
{
    /** The most bytes of an event name in Snug. */
    private const BYTES_MAX = 64;

    /**
     * Returns the name itself, or its last 64 bytes if it is longer. The Echo connector does the same with the names
     * that pages listen to.
     */
    public static function shorten(string $event): string
    {
        if (strlen($event) <= self::BYTES_MAX) {
            return $event;
        }
        // The cut may leave the end of a character at the beginning.
        return (string) preg_replace('/^[\x80-\xBF]+/', '', substr($event, -self::BYTES_MAX));
    }
}
