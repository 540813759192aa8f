<?php

declare(strict_types=1);

namespace Snug;

/** A message that a member wants to publish, and that is to be judged. */
final class Submission
{
    public function __construct(
        public readonly string $room,
        /** Who wants to say it. */
        public readonly string $user,
        /** By which connection. */
        public readonly string $connection,
        /** Its kind, for the application. */
        public readonly ?string $event,
        /** What it says, as `json_decode` gives it, with arrays for objects. */
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
