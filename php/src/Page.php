<?php

declare(strict_types=1);

namespace Snug;

/** Some of a room's messages. */
final class Page
{
    public function __construct(
        /** Which story of the room they belong to; null where nobody has used the room yet. */
        public readonly ?string $epoch,
        /**
         * In the order of their offsets.
         *
         * @var list<Message>
         */
        public readonly array $messages,
        /** Whether there are more in the direction that was asked. */
        public readonly bool $hasMore,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self($json['epoch'], array_map(Message::from(...), $json['messages']), $json['more']);
    }
}
