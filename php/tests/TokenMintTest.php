<?php

declare(strict_types=1);

namespace Snug\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Snug\Algorithm;
use Snug\Capability;
use Snug\TokenMint;

final class TokenMintTest extends TestCase
{
    private const SECRET = 'a secret of thirty-two bytes or more';

    /** @return array<string, mixed> */
    private static function claims(string $token): array
    {
        return json_decode(base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
    }

    /** Opens the room, or says why not. */
    private static function doorSays(string $token, string $room = 'lobby'): string
    {
        return Live::knock(Live::env('SNUG_URL'), $room, $token)['code'];
    }

    /** @dataProvider workers */
    public function testATokenOfEachAlgorithmOpensTheDoor(string $which): void
    {
        $worker = json_decode(Live::env('WORKERS'), true)[$which];
        $algorithm = constant(Algorithm::class . '::' . $worker['algorithm']);
        $mint = new TokenMint($worker['secret'], $algorithm, $worker['issuer'] ?? null, $worker['audience'] ?? null);
        self::assertSame('upgrade_required', Live::knock($worker['url'], 'lobby', $mint->mint('ann', ['lobby']))['code']);

        $forged = new TokenMint(strrev($worker['secret']) . '-', $algorithm);
        self::assertSame('token_invalid', Live::knock($worker['url'], 'lobby', $forged->mint('ann', ['lobby']))['code']);
    }

    public static function workers(): iterable
    {
        yield 'HS256, of text' => ['text'];
        yield 'HS384, of raw bytes' => ['bytes'];
        yield 'HS512, with an issuer and an audience' => ['addressed'];
    }

    public function testAListOfRoomsOpensThemAndNoOthers(): void
    {
        $token = Live::mint()->mint('ann', ['lobby', 'team:7:*']);
        self::assertSame('upgrade_required', self::doorSays($token, 'lobby'));
        self::assertSame('upgrade_required', self::doorSays($token, 'team:7:general'));
        self::assertSame('room_forbidden', self::doorSays($token, 'team:8:general'));
    }

    public function testAMapSaysWhatIsAllowedInEachRoom(): void
    {
        $rooms = ['*' => [Capability::Receive, 'history'], 'vault' => []];
        $token = Live::mint()->mint('ann', $rooms);
        self::assertSame(['*' => ['receive', 'history'], 'vault' => []], self::claims($token)['rooms']);
        self::assertSame('upgrade_required', self::doorSays($token, 'lobby'));
        self::assertSame('room_forbidden', self::doorSays($token, 'vault'));
    }

    public function testRoomsWhoseNamesAreNumbersAreStillNames(): void
    {
        $token = Live::mint()->mint(7, ['0' => ['receive'], '1' => ['receive']]);
        self::assertSame('upgrade_required', self::doorSays($token, '1'));
        self::assertSame('room_forbidden', self::doorSays($token, '2'));
        self::assertSame('upgrade_required', self::doorSays(Live::mint()->mint(7, ['0', '1']), '1'));
    }

    public function testATokenLastsForItsTime(): void
    {
        $before = time();
        $claims = self::claims(Live::mint()->mint('ann', ['lobby'], ttl: 60));
        self::assertEqualsWithDelta($before + 60, $claims['exp'], 30);
        self::assertSame(60, $claims['exp'] - $claims['iat']);
    }

    public function testProfilesAndLimitsReachTheRoom(): void
    {
        $token = Live::mint()->mint(42, ['lobby'], info: ['name' => '安 🦀', 'tags' => []], messagesPerSecond: 3);
        $claims = self::claims($token);
        self::assertSame('42', $claims['sub']);
        self::assertSame(['name' => '安 🦀', 'tags' => []], $claims['info']);
        self::assertSame(['messages_per_second' => 3], $claims['limits']);
        self::assertSame('upgrade_required', self::doorSays($token));
    }

    public function testWhatIsNotGivenIsNotInTheToken(): void
    {
        $names = array_keys(self::claims(Live::mint()->mint('ann', ['lobby'])));
        self::assertSame(['sub', 'iat', 'exp', 'rooms'], $names);
    }

    /** @dataProvider borders */
    public function testWhatTheDoorTakesIsMinted(array $arguments): void
    {
        self::assertSame('upgrade_required', self::doorSays(Live::mint()->mint(...$arguments)));
    }

    public static function borders(): iterable
    {
        yield 'a user of 128 bytes' => [[str_repeat('é', 64), ['*']]];
        yield 'a room of 128 characters' => [['ann', [str_repeat('r', 128), 'lobby']]];
        yield 'a prefix of 128 characters' => [['ann', [str_repeat('r', 128) . '*', 'lobby']]];
        yield 'info of 1,024 bytes' => [['ann', ['*'], 60, ['text' => str_repeat('x', 1024 - 11)]]];
        yield 'a token that just fits' => [['ann', [...self::names(45), 'lobby']]];
    }

    /** @dataProvider mistakes */
    public function testWhatTheDoorWouldNotTakeIsAnErrorAtOnce(array $arguments, string $message): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($message);
        (new TokenMint(self::SECRET))->mint(...$arguments);
    }

    public static function mistakes(): iterable
    {
        yield 'no user' => [['', ['lobby']], '1 to 128 bytes'];
        yield 'a user of 129 bytes' => [[str_repeat('é', 64) . 'x', ['lobby']], '1 to 128 bytes'];
        yield 'a user with a line break' => [["ann\n", ['lobby']], 'control characters'];
        yield 'a user that is not UTF-8' => [["\xe9", ['lobby']], 'UTF-8'];
        yield 'no rooms' => [['ann', []], 'has to open a room'];
        yield 'a room with a space' => [['ann', ['the lobby']], 'is named by'];
        yield 'a room without a name' => [['ann', ['']], 'is named by'];
        yield 'a room with a line break' => [['ann', ["lobby\n"]], 'is named by'];
        yield 'a star within' => [['ann', ['team:*:general']], 'is named by'];
        yield 'a room of 129 characters' => [['ann', [str_repeat('r', 129)]], 'is named by'];
        yield 'a list within a list' => [['ann', ['lobby', ['team']]], 'is named by'];
        yield 'a map with a name in it' => [['ann', ['lobby' => ['receive'], 'team' => 'receive']], 'a list of names, or a map'];
        yield 'an unknown capability' => [['ann', ['lobby' => ['read']]], 'a capability is one of'];
        yield 'a capability that is no text' => [['ann', ['lobby' => [7]]], 'a capability is one of'];
        yield 'no time' => [['ann', ['lobby'], 0], 'ttl must be at least 1'];
        yield 'a list as info' => [['ann', ['lobby'], 60, ['Ann']], 'named fields'];
        yield 'info of 1,025 bytes' => [['ann', ['*'], 60, ['text' => str_repeat('x', 1025 - 11)]], '1,024 bytes'];
        yield 'info that is not UTF-8' => [['ann', ['lobby'], 60, ['name' => "\xe9"]], 'info is no JSON'];
        yield 'no messages' => [['ann', ['lobby'], 60, [], 0], 'messages_per_second must be at least 1'];
        yield 'no bytes' => [['ann', ['lobby'], 60, [], null, -1], 'message_bytes must be at least 1'];
        yield 'too many rooms' => [['ann', self::names(70)], 'over 8 KiB'];
    }

    /** @return list<string> */
    private static function names(int $count): array
    {
        return array_map(static fn (int $n): string => str_pad("$n", 120, '-'), range(1, $count));
    }

    /** @dataProvider badSecrets */
    public function testASecretThatTheWorkerWouldNotTakeIsAnErrorAtOnce(string $secret): void
    {
        $this->expectException(InvalidArgumentException::class);
        new TokenMint($secret);
    }

    public static function badSecrets(): iterable
    {
        yield 'none' => [''];
        yield 'one of 31 bytes' => [str_repeat('x', 31)];
        yield 'one of 31 raw bytes' => ['base64url:' . rtrim(base64_encode(str_repeat('x', 31)), '=')];
        yield 'base64, which has another alphabet' => ['base64url:' . base64_encode(str_repeat("\xff", 33))];
        yield 'base64url with a space in it' => ['base64url:' . str_repeat('eHh4', 11) . ' eHh4'];
    }

    public function testTheSecretIsNotShown(): void
    {
        self::assertStringNotContainsString(self::SECRET, print_r(new TokenMint(self::SECRET), true));
    }
}
