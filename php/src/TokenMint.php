<?php

declare(strict_types=1);

namespace Snug;

use InvalidArgumentException;
use JsonException;

/** Makes the tokens by which Snug knows who comes, and to which rooms: JWTs, signed with a shared secret. */
final class TokenMint
{
    private const SECRET_BYTES_MIN = 32;
    private const USER_BYTES_MAX = 128;
    private const INFO_BYTES_MAX = 1024;
    private const TOKEN_BYTES_MAX = 8192;

    private string $key;

    /**
     * @param string      $secret    what the Worker has as `JWT_SECRET`: at least 32 bytes of text, or `base64url:…`
     * @param Algorithm   $algorithm what the Worker has as `JWT_HMAC_ALGORITHM`
     * @param string|null $issuer    what the Worker has as `JWT_ISSUER`, if it has one
     * @param string|null $audience  what the Worker has as `JWT_AUDIENCE`, if it has one
     *
     * @throws InvalidArgumentException where the secret is too short, or no base64url
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
     * @param int|string $user  the user's id, 1 to 128 bytes
     * @param array<string>|array<string, array<Capability|string>> $rooms the rooms it opens: a list of names, or a map
     *        from each name to what the user may do there. A name that ends in `*` stands for all that begin so, and
     *        `*` for all rooms: so never put together a name of what a user has typed.
     * @param int        $ttl   after how many seconds it ends, and the connection with it unless that brings a new one
     * @param array<string, mixed> $info a public profile, shown to the other members: at most 1,024 bytes of JSON
     * @param int|null   $messagesPerSecond a tighter limit than the Worker's
     * @param int|null   $messageBytes      a tighter limit than the Worker's
     *
     * @throws InvalidArgumentException where the Worker would not take it
     */
    public function mint(
        int|string $user,
        array $rooms,
        int $ttl = 3600,
        array $info = [],
        ?int $messagesPerSecond = null,
        ?int $messageBytes = null,
    ): string {
        $limits = self::given(['messages_per_second' => $messagesPerSecond, 'message_bytes' => $messageBytes]);
        foreach ([...$limits, 'ttl' => $ttl] as $name => $number) {
            self::check($number >= 1, "$name must be at least 1");
        }
        $now = time();
        return $this->sign(self::given([
            'iss' => $this->issuer,
            'aud' => $this->audience,
            'sub' => self::userOf($user),
            'iat' => $now,
            'exp' => $now + $ttl,
            'rooms' => self::grantsOf($rooms),
            'info' => $info === [] ? null : self::infoOf($info),
            'limits' => $limits === [] ? null : $limits,
        ]));
    }

    /** Keeps the secret out of dumps. */
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
            throw new InvalidArgumentException("info is no JSON: {$e->getMessage()}", 0, $e);
        }
        $token = $content . '.' . self::base64url(hash_hmac($this->algorithm->value, $content, $this->key, true));
        self::check(strlen($token) <= self::TOKEN_BYTES_MAX, 'the token is over 8 KiB: name fewer rooms, or prefixes');
        return $token;
    }

    private static function keyOf(#[\SensitiveParameter] string $secret): string
    {
        $key = $secret;
        if (str_starts_with($secret, 'base64url:')) {
            $encoded = rtrim(substr($secret, strlen('base64url:')), '=');
            $key = base64_decode(strtr($encoded, '-_', '+/'), true);
            // Only what encodes to itself again: nothing of another alphabet, and no half a byte at the end.
            self::check($key !== false && self::base64url($key) === $encoded, 'the secret is no base64url');
        }
        self::check(strlen($key) >= self::SECRET_BYTES_MIN, 'the secret must hold at least 32 bytes');
        return $key;
    }

    private static function userOf(int|string $user): string
    {
        $id = (string) $user;
        self::check($id !== '' && strlen($id) <= self::USER_BYTES_MAX, "a user's id has 1 to 128 bytes");
        self::check(preg_match('/^\P{Cc}+$/Du', $id) === 1, "a user's id is UTF-8 without control characters");
        return $id;
    }

    /**
     * @param array<mixed> $rooms
     * @return array<string>|object
     */
    private static function grantsOf(array $rooms): array|object
    {
        self::check($rooms !== [], 'a token has to open a room');
        $isMap = is_array(reset($rooms));
        $grants = [];
        // A map's keys that look like numbers are numbers to PHP.
        foreach ($rooms as $key => $value) {
            $name = $isMap ? (string) $key : $value;
            self::check(
                is_string($name) && preg_match('/^(?=.)[A-Za-z0-9_.:@~-]{0,128}\*?$/D', $name) === 1,
                'a room is named by A-Z a-z 0-9 _ - . : @ ~, with or without a * at the end',
            );
            self::check(is_array($value) === $isMap, 'rooms are a list of names, or a map from names to capabilities');
            $grants[$name] = $isMap ? array_map(self::capabilityOf(...), array_values($value)) : $name;
        }
        return $isMap ? (object) $grants : array_values($grants);
    }

    private static function capabilityOf(mixed $capability): string
    {
        $known = is_string($capability) ? Capability::tryFrom($capability) : $capability;
        self::check($known instanceof Capability, 'a capability is one of Snug\\Capability');
        return $known->value;
    }

    /** @param array<mixed> $info */
    private static function infoOf(array $info): object
    {
        self::check(!array_is_list($info), 'info has named fields');
        $size = strlen((string) json_encode($info, Json::FLAGS & ~JSON_THROW_ON_ERROR));
        self::check($size <= self::INFO_BYTES_MAX, 'info is over 1,024 bytes of JSON');
        return (object) $info;
    }

    /**
     * @param array<string, mixed> $fields
     * @return array<string, mixed>
     */
    private static function given(array $fields): array
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
