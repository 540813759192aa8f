<?php

declare(strict_types=1);

namespace Snug\Laravel\Events;

use Snug\Message;
use Snug\RoomEvent;

/** Fired when a message was stored, also one that your application has published. */
final class MessagePublished
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /** The full name of its channel, such as `private-orders.1`. Null if the room is not a channel. */
        public readonly ?string $channel,
        /** The message. */
        public readonly Message $message,
        /** The event as Snug sent it, with its id and time. */
        public readonly RoomEvent $event,
    ) {
    }
}
