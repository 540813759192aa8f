<?php

declare(strict_types=1);

namespace Snug;

/** A user who is in a room, by however many connections. */
final class Member
{
    public function __construct(
        public readonly string $user,
        /**
         * The public profile of the user's token.
         *
         * @var array<string, mixed>
         */
        public readonly array $info,
        /** Since when, in Unix milliseconds. */
        public readonly int $since,
        /** How many; 0 where the last one has dropped and may be back. */
        public readonly int $connections,
        /**
         * What each connection shows of itself.
         *
         * @var array<string, array<string, mixed>>
         */
        public readonly array $state,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self($json['user'], $json['info'], $json['since'], $json['connections'], $json['state']);
    }
}
