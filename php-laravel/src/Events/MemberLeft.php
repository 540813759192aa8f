<?php

declare(strict_types=1);

namespace Snug\Laravel\Events;

use Snug\RoomEvent;

/** Fired when a user has left a room with the last connection. */
final class MemberLeft
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /** The full name of its channel, such as `private-orders.1`. Null if the room is not a channel. */
        public readonly ?string $channel,
        /** The user's id. Guests have an id that begins with `guest:`. */
        public readonly string $user,
        /** The event as Snug sent it, with its id and time. */
        public readonly RoomEvent $event,
    ) {
    }
}
