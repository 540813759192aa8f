<?php

declare(strict_types=1);

namespace Snug;

/** The position of a change that was made, and the message's version after it. */
final class ChangedMessage
{
    public function __construct(
        /** The room's epoch. A deleted room starts a new one. */
        public readonly string $epoch,
        /** The change's own offset within the epoch. */
        public readonly int $offset,
        /** The time at which the change was stored, in Unix milliseconds. */
        public readonly int $time,
        /** The message's version. Null if the change was already made under the same key. */
        public readonly ?int $version,
        /** True if the change was already made under the same key. */
        public readonly bool $isDuplicate,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(
            $json['epoch'],
            $json['offset'],
            $json['time'],
            $json['version'] ?? null,
            $json['duplicate'] ?? false,
        );
    }
}
