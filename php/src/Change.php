<?php

declare(strict_types=1);

namespace Snug;

/** A change of a message, as a webhook reports it. */
final class Change
{
    public function __construct(
        /** The change's own offset. */
        public readonly int $offset,
        /** The time at which the change was stored, in Unix milliseconds. */
        public readonly int $time,
        /** The offset of the message. */
        public readonly int $of,
        /** The message's version after the change. */
        public readonly int $version,
        /** The action: `edit`, `append` or `delete`. */
        public readonly string $action,
        /** The user who did it. */
        public readonly string $user,
        /** The id of that user's connection. Null if it was done over the HTTP API. */
        public readonly ?string $connection,
        /** The new data of an `edit`, decoded like that of a message. Null for others. */
        public readonly mixed $data,
        /** The text of an `append`. Null for others. */
        public readonly ?string $text,
        /** The reason of a `delete`, if it has one. */
        public readonly ?string $reason,
        /** True if the message has been deleted since, so that the content is missing here. */
        public readonly bool $isDeleted,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(
            $json['offset'],
            $json['time'],
            $json['of'],
            $json['version'],
            $json['action'],
            $json['user'],
            $json['connection'] ?? null,
            $json['data'] ?? null,
            $json['text'] ?? null,
            $json['reason'] ?? null,
            $json['deleted'] ?? false,
        );
    }
}
