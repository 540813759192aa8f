<?php

declare(strict_types=1);

namespace Snug;

/** A problem as Snug reports it: an RFC 9457 body with a stable code. */
final class Problem
{
    public function __construct(
        /** The HTTP status code. */
        public readonly int $status,
        /** A stable code for programs, such as `room_forbidden` or `rate_limited`. PROTOCOL.md lists all codes. */
        public readonly string $code,
        /** An explanation for people. */
        public readonly string $detail,
        /** Seconds to wait before the next attempt, from `Retry-After`. Null if the response has none. */
        public readonly ?int $retryAfter = null,
        /** The reference by which the operator finds Snug's log line. Null if the response has none. */
        public readonly ?string $ref = null,
        /** The message's version, if the code is `conflict`. Null for other codes. */
        public readonly ?int $version = null,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json, ?int $retryAfter = null): self
    {
        return new self(
            (int) $json['status'],
            $json['code'],
            $json['detail'] ?? $json['code'],
            $retryAfter,
            $json['ref'] ?? null,
            $json['version'] ?? null,
        );
    }
}
