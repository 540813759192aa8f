<?php

declare(strict_types=1);

namespace Snug;

use InvalidArgumentException;
use JsonException;

/**
 * Signs the tokens with which users join rooms: JWTs, with the secret that you share with the Worker.
 */
final class TokenIssuer
{
    private const SECRET_BYTES_MIN = 32;
    private const USER_BYTES_MAX = 128;
    private const INFO_BYTES_MAX = 1024;
    private const TOKEN_BYTES_MAX = 8192;

    private string $key;

    /**
     * @param string      $secret    The Worker's `JWT_SECRET`: text of at least 32 bytes, or `base64url:` and at least
     *                               32 encoded bytes.
     * @param Algorithm   $algorithm The Worker's `JWT_HMAC_ALGORITHM`.
     * @param string|null $issuer    The Worker's `JWT_ISSUER`, if set.
     * @param string|null $audience  The Worker's `JWT_AUDIENCE`, if set.
     *
     * @throws InvalidArgumentException If the secret is too short, or is not valid base64url.
     */
    public function __construct(
        #[\SensitiveParameter] string $secret,
        private Algorithm $algorithm = Algorithm::HS256,
        private ?string $issuer = null,
        private ?string $audience = null,
    ) {
        $this->key = self::keyOf($secret);
    }

    /**
     * Signs a token for one user.
     *
     * @param int|string $user  The user's id, 1 to 128 bytes.
     * @param array<string>|array<string, array<Capability|string>> $rooms The rooms that the user may join: a list of
     *        names, or a map from names to capabilities. A name that ends in `*` matches every room with that prefix,
     *        and `*` matches all rooms, so never build a name from user input without checking it.
     * @param int        $ttl   The token's lifetime in seconds. The connection closes when the token expires, unless
     *        the client refreshes it.
     * @param array<string, mixed> $info A public profile that the other members see, at most 1,024 bytes of JSON.
     * @param int|null   $messagesPerSecond A rate limit below the Worker's own.
     * @param int|null   $messageBytes      A message size limit below the Worker's own.
     *
     * @throws InvalidArgumentException If the Worker would reject the token.
     */
    public function mint(
        int|string $user,
        array $rooms,
        int $ttl = 3600,
        array $info = [],
        ?int $messagesPerSecond = null,
        ?int $messageBytes = null,
    ): string {
        $limits = self::withoutNulls(['messages_per_second' => $messagesPerSecond, 'message_bytes' => $messageBytes]);
        foreach ([...$limits, 'ttl' => $ttl] as $name => $number) {
            self::check($number >= 1, "$name must be at least 1; it is $number");
        }
        $now = microtime(true);
        return $this->sign(self::withoutNulls([
            'iss' => $this->issuer,
            'aud' => $this->audience,
            'sub' => self::userOf($user),
            // With milliseconds, because a user may sign in again within the second of a sign-out.
            'iat' => floor($now * 1000) / 1000,
            'exp' => (int) $now + $ttl,
            'rooms' => self::grantsOf($rooms),
            'info' => $info === [] ? null : self::infoOf($info),
            'limits' => $limits === [] ? null : $limits,
        ]));
    }

    /** Keeps the secret out of dumps such as `var_dump()`. */
    public function __debugInfo(): array
    {
        return ['algorithm' => $this->algorithm, 'issuer' => $this->issuer, 'audience' => $this->audience];
    }

    /** @param array<string, mixed> $claims */
    private function sign(array $claims): string
    {
        try {
            $content = self::base64url(Json::encode(['alg' => $this->algorithm->name, 'typ' => 'JWT']))
                . '.' . self::base64url(Json::encode($claims));
        } catch (JsonException $e) {
            throw new InvalidArgumentException("info cannot be encoded as JSON: {$e->getMessage()}", 0, $e);
        }
        $token = $content . '.' . self::base64url(hash_hmac($this->algorithm->value, $content, $this->key, true));
        self::check(
            strlen($token) <= self::TOKEN_BYTES_MAX,
            'the token is larger than 8 KiB: list fewer rooms, or use a prefix such as team:7:*',
        );
        return $token;
    }

    private static function keyOf(#[\SensitiveParameter] string $secret): string
    {
        $key = $secret;
        if (str_starts_with($secret, 'base64url:')) {
            $encoded = rtrim(substr($secret, strlen('base64url:')), '=');
            $key = base64_decode(strtr($encoded, '-_', '+/'), true);
            // base64_decode() ignores characters outside its alphabet and surplus bits at the end. The Worker does not.
            self::check($key !== false && self::base64url($key) === $encoded, 'the secret is not valid base64url');
        }
        $bytes = strlen($key);
        self::check($bytes >= self::SECRET_BYTES_MIN, "the secret must be at least 32 bytes long; it has $bytes");
        return $key;
    }

    private static function userOf(int|string $user): string
    {
        $id = (string) $user;
        $bytes = strlen($id);
        self::check(
            $bytes >= 1 && $bytes <= self::USER_BYTES_MAX,
            "a user id must be 1 to 128 bytes long; it has $bytes",
        );
        self::check(preg_match('/^\P{Cc}+$/Du', $id) === 1, 'a user id must be UTF-8 without control characters');
        return $id;
    }

    /**
     * @param array<mixed> $rooms
     * @return array<string>|object
     */
    private static function grantsOf(array $rooms): array|object
    {
        self::check($rooms !== [], 'rooms must name at least one room');
        $isMap = is_array(reset($rooms));
        $grants = [];
        // PHP turns numeric string keys into integers.
        foreach ($rooms as $key => $value) {
            $name = $isMap ? (string) $key : $value;
            self::check(
                is_string($name) && preg_match('/^(?=.)[A-Za-z0-9_.:@~-]{0,128}\*?$/D', $name) === 1,
                'a room name must be 1 to 128 of A-Z a-z 0-9 _ - . : @ ~, optionally followed by *',
            );
            self::check(
                is_array($value) === $isMap,
                'rooms must be a list of names, or a map from names to lists of capabilities',
            );
            $grants[$name] = $isMap ? array_map(self::capabilityOf(...), array_values($value)) : $name;
        }
        return $isMap ? (object) $grants : array_values($grants);
    }

    private static function capabilityOf(mixed $capability): string
    {
        $known = is_string($capability) ? Capability::tryFrom($capability) : $capability;
        self::check($known instanceof Capability, 'a capability must be a case or a value of Snug\\Capability');
        return $known->value;
    }

    /** @param array<mixed> $info */
    private static function infoOf(array $info): object
    {
        self::check(!array_is_list($info), 'info must be a map with string keys, not a list');
        $size = strlen((string) json_encode($info, Json::FLAGS & ~JSON_THROW_ON_ERROR));
        self::check($size <= self::INFO_BYTES_MAX, "info must be at most 1,024 bytes of JSON; it has $size");
        return (object) $info;
    }

    /**
     * @param array<string, mixed> $fields
     * @return array<string, mixed>
     */
    private static function withoutNulls(array $fields): array
    {
        return array_filter($fields, static fn (mixed $value): bool => $value !== null);
    }

    private static function base64url(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }

    private static function check(bool $holds, string $message): void
    {
        if (!$holds) {
            throw new InvalidArgumentException($message);
        }
    }
}
