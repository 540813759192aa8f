<?php

declare(strict_types=1);

namespace Snug;

/** What became of messages in one of the rooms that they were published to. */
final class Outcome
{
    public function __construct(
        public readonly string $room,
        /**
         * Where the messages are, in the order in which they were given; empty where the room has refused them.
         *
         * @var list<Stored>
         */
        public readonly array $stored,
        /** Why the room has refused them; null where it has not. */
        public readonly ?Problem $problem,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return isset($json['error'])
            ? new self($json['room'], [], Problem::from($json['error']))
            : new self($json['room'], Stored::listFrom($json), null);
    }
}
