<?php

declare(strict_types=1);

namespace Snug\Tests;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use RuntimeException;
use Snug\Snug;
use Snug\TokenIssuer;

/** The Worker under test. tests/php.spec.ts starts it and passes its address in the environment. */
final class LiveWorker
{
    private static int $rooms = 0;

    /** Returns an environment variable. */
    public static function env(string $name): string
    {
        $value = getenv($name);
        if ($value === false) {
            throw new RuntimeException("$name is not set: run `npx vitest run tests/php.spec.ts`");
        }
        return $value;
    }

    public static function tokens(): TokenIssuer
    {
        return new TokenIssuer(self::env('JWT_SECRET'));
    }

    public static function snug(string $user = 'server'): Snug
    {
        $factory = new HttpFactory();
        $client = new Client(['timeout' => 10]);
        return new Snug(self::env('SNUG_URL'), self::tokens(), $client, $factory, $factory, $user);
    }

    /** Returns the name of a room that no test has used. */
    public static function newRoom(): string
    {
        return 'php:' . ++self::$rooms;
    }

    /**
     * Sends a join request without a WebSocket upgrade, and returns the code of the refusal. It is `upgrade_required`
     * if the token is accepted.
     */
    public static function tryToken(string $url, string $room, string $token): string
    {
        $response = (new Client(['http_errors' => false]))->get("$url/v1/rooms/$room/socket", [
            'headers' => ['Authorization' => "Bearer $token"],
        ]);
        return json_decode((string) $response->getBody(), true, 512, JSON_THROW_ON_ERROR)['code'];
    }
}
