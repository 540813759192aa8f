<?php

declare(strict_types=1);

namespace Snug;

/** One webhook request: events of one room, in order. */
final class WebhookDelivery
{
    public function __construct(
        /** The request's `webhook-id`. A retry of the same events has the same id. */
        public readonly string $id,
        /** The room's name. */
        public readonly string $room,
        /** @var list<RoomEvent> The events, in order. */
        public readonly array $events,
    ) {
    }
}
