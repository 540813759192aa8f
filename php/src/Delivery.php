<?php

declare(strict_types=1);

namespace Snug;

/** What a webhook tells: some events of one room, in order. */
final class Delivery
{
    public function __construct(
        /** The same whenever the same events are told again. */
        public readonly string $id,
        public readonly string $room,
        /** @var list<Event> */
        public readonly array $events,
    ) {
    }
}
