<?php

declare(strict_types=1);

namespace Snug;

/** A message that a member wants to publish, and that your publish hook decides on. */
final class ProposedMessage
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /** The author's user id. */
        public readonly string $user,
        /** The id of the connection that sent the message. */
        public readonly string $connection,
        /** The event name that the author chose, if any. */
        public readonly ?string $event,
        /**
         * The message's data, decoded from JSON. Objects become associative arrays; an empty object becomes an
         * `ArrayObject`, which is encoded as an object again. Whole numbers too large for PHP become strings.
         */
        public readonly mixed $data,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(string $room, array $json): self
    {
        return new self($room, $json['user'], $json['connection'], $json['event'] ?? null, $json['data']);
    }
}
