<?php

declare(strict_types=1);

namespace Snug;

/** Why Snug has refused something (RFC 9457). */
final class Problem
{
    public function __construct(
        /** The HTTP status. */
        public readonly int $status,
        /** Which problem it is, for programs: `room_forbidden`, `rate_limited`, … */
        public readonly string $code,
        /** The same in words, for people. */
        public readonly string $detail,
        /** After how many seconds to come again; null where Snug does not say. */
        public readonly ?int $retryAfter = null,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json, ?int $retryAfter = null): self
    {
        return new self((int) $json['status'], $json['code'], $json['detail'] ?? $json['code'], $retryAfter);
    }
}
