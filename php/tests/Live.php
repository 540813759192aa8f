<?php

declare(strict_types=1);

namespace Snug\Tests;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use RuntimeException;
use Snug\Snug;
use Snug\TokenMint;

/** The Worker that the tests speak to: `npm test` starts it, and says by the environment where it is. */
final class Live
{
    private static int $rooms = 0;

    public static function env(string $name): string
    {
        $value = getenv($name);
        if ($value === false) {
            throw new RuntimeException("$name is not set: run `npx vitest run tests/php.spec.ts`");
        }
        return $value;
    }

    public static function mint(): TokenMint
    {
        return new TokenMint(self::env('JWT_SECRET'));
    }

    public static function snug(string $user = 'system'): Snug
    {
        $factory = new HttpFactory();
        return new Snug(self::env('SNUG_URL'), self::mint(), new Client(['timeout' => 10]), $factory, $factory, $user);
    }

    /** The name of a room in which nobody has been. */
    public static function newRoom(): string
    {
        return 'php:' . ++self::$rooms;
    }

    /**
     * Asks a Worker's door about a token without an upgrade: `upgrade_required` says that it would open.
     *
     * @return array{status: int, code: string, detail: string}
     */
    public static function knock(string $url, string $room, string $token): array
    {
        $response = (new Client(['http_errors' => false]))->get("$url/v1/rooms/$room/socket", [
            'headers' => ['Authorization' => "Bearer $token"],
        ]);
        return json_decode((string) $response->getBody(), true, 512, JSON_THROW_ON_ERROR);
    }
}
