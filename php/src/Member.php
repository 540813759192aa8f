<?php

declare(strict_types=1);

namespace Snug;

/** A user in a room, with one or more connections. */
final class Member
{
    public function __construct(
        /** The user's id. */
        public readonly string $user,
        /**
         * The public profile from the user's token.
         *
         * @var array<string, mixed>
         */
        public readonly array $info,
        /** The time at which the user joined, in Unix milliseconds. */
        public readonly int $since,
        /** The number of open connections: 0 during the grace period after the last one was lost. */
        public readonly int $connections,
        /**
         * Each connection's presence state, by connection id.
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
        return new self(
            $json['user'],
            (array) $json['info'],
            $json['since'],
            $json['connections'],
            (array) $json['state'],
        );
    }
}
