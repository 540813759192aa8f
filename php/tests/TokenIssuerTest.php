<?php

declare(strict_types=1);

namespace Snug\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Snug\Algorithm;
use Snug\Capability;
use Snug\TokenIssuer;

final class TokenIssuerTest extends TestCase
{
    private const SECRET = 'a secret of thirty-two bytes or more';

    /** @return array<string, mixed> */
    private static function claims(string $token): array
    {
        return json_decode(base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
    }

    /** Sends a join request with the token, and returns the code of the refusal: `upgrade_required` if accepted. */
    private static function codeFor(string $token, string $room = 'lobby'): string
    {
        return LiveWorker::tryToken(LiveWorker::env('SNUG_URL'), $room, $token);
    }

    /** @dataProvider workers */
    public function testTheWorkerAcceptsTokensOfEachAlgorithm(string $which): void
    {
        $worker = json_decode(LiveWorker::env('WORKERS'), true)[$which];
        $algorithm = constant(Algorithm::class . '::' . $worker['algorithm']);
        $tokens = new TokenIssuer($worker['secret'], $algorithm, $worker['issuer'] ?? null, $worker['audience'] ?? null);
        $token = $tokens->mint('ann', ['lobby']);
        self::assertSame('upgrade_required', LiveWorker::tryToken($worker['url'], 'lobby', $token));

        $forger = new TokenIssuer(strrev($worker['secret']) . '-', $algorithm);
        $forged = $forger->mint('ann', ['lobby']);
        self::assertSame('token_invalid', LiveWorker::tryToken($worker['url'], 'lobby', $forged));
    }

    public static function workers(): iterable
    {
        yield 'HS256 with a text secret' => ['text'];
        yield 'HS384 with a base64url secret' => ['bytes'];
        yield 'HS512 with an issuer and an audience' => ['addressed'];
    }

    public function testAListOfRoomsGrantsOnlyThoseRooms(): void
    {
        $token = LiveWorker::tokens()->mint('ann', ['lobby', 'team:7:*']);
        self::assertSame('upgrade_required', self::codeFor($token, 'lobby'));
        self::assertSame('upgrade_required', self::codeFor($token, 'team:7:general'));
        self::assertSame('room_forbidden', self::codeFor($token, 'team:8:general'));
    }

    public function testAMapGrantsCapabilitiesPerRoom(): void
    {
        $rooms = ['*' => [Capability::Receive, 'history'], 'vault' => []];
        $token = LiveWorker::tokens()->mint('ann', $rooms);
        self::assertSame(['*' => ['receive', 'history'], 'vault' => []], self::claims($token)['rooms']);
        self::assertSame('upgrade_required', self::codeFor($token, 'lobby'));
        self::assertSame('room_forbidden', self::codeFor($token, 'vault'));
    }

    public function testNumericRoomNamesStayStrings(): void
    {
        $token = LiveWorker::tokens()->mint(7, ['0' => ['receive'], '1' => ['receive']]);
        self::assertSame('upgrade_required', self::codeFor($token, '1'));
        self::assertSame('room_forbidden', self::codeFor($token, '2'));
        self::assertSame('upgrade_required', self::codeFor(LiveWorker::tokens()->mint(7, ['0', '1']), '1'));
    }

    public function testTheTokenExpiresAfterItsTtl(): void
    {
        $before = time();
        $claims = self::claims(LiveWorker::tokens()->mint('ann', ['lobby'], ttl: 60));
        self::assertEqualsWithDelta($before + 60, $claims['exp'], 30);
        self::assertSame(60, $claims['exp'] - (int) $claims['iat']);
        self::assertEqualsWithDelta(microtime(true), $claims['iat'], 30);
    }

    public function testInfoAndLimitsBecomeClaims(): void
    {
        $info = ['name' => '安 🦀', 'tags' => []];
        $token = LiveWorker::tokens()->mint(42, ['lobby'], info: $info, messagesPerSecond: 3);
        $claims = self::claims($token);
        self::assertSame('42', $claims['sub']);
        self::assertSame($info, $claims['info']);
        self::assertSame(['messages_per_second' => 3], $claims['limits']);
        self::assertSame('upgrade_required', self::codeFor($token));
    }

    public function testOmittedArgumentsAreNotClaims(): void
    {
        $names = array_keys(self::claims(LiveWorker::tokens()->mint('ann', ['lobby'])));
        self::assertSame(['sub', 'iat', 'exp', 'rooms'], $names);
    }

    /** @dataProvider limits */
    public function testTheWorkerAcceptsTokensAtTheLimits(array $arguments): void
    {
        self::assertSame('upgrade_required', self::codeFor(LiveWorker::tokens()->mint(...$arguments)));
    }

    public static function limits(): iterable
    {
        yield 'a user of 128 bytes' => [[str_repeat('é', 64), ['*']]];
        yield 'a room of 128 characters' => [['ann', [str_repeat('r', 128), 'lobby']]];
        yield 'a prefix of 128 characters' => [['ann', [str_repeat('r', 128) . '*', 'lobby']]];
        yield 'info of 1,024 bytes' => [['ann', ['*'], 60, ['text' => str_repeat('x', 1024 - 11)]]];
        yield 'the largest token' => [['ann', [...self::names(45), 'lobby']]];
    }

    /** @dataProvider invalidArguments */
    public function testRejectsArgumentsThatTheWorkerWouldReject(array $arguments, string $message): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($message);
        (new TokenIssuer(self::SECRET))->mint(...$arguments);
    }

    public static function invalidArguments(): iterable
    {
        yield 'no user' => [['', ['lobby']], '1 to 128 bytes'];
        yield 'a user of 129 bytes' => [[str_repeat('é', 64) . 'x', ['lobby']], '1 to 128 bytes'];
        yield 'a user with a line break' => [["ann\n", ['lobby']], 'control characters'];
        yield 'a user that is not UTF-8' => [["\xe9", ['lobby']], 'UTF-8'];
        yield 'no rooms' => [['ann', []], 'rooms must name at least one room'];
        yield 'a room with a space' => [['ann', ['the lobby']], 'a room name must be'];
        yield 'a room without a name' => [['ann', ['']], 'a room name must be'];
        yield 'a room with a line break' => [['ann', ["lobby\n"]], 'a room name must be'];
        yield 'a star inside a name' => [['ann', ['team:*:general']], 'a room name must be'];
        yield 'a room of 129 characters' => [['ann', [str_repeat('r', 129)]], 'a room name must be'];
        yield 'a list within a list' => [['ann', ['lobby', ['team']]], 'a room name must be'];
        yield 'a map with a name among its values' => [
            ['ann', ['lobby' => ['receive'], 'team' => 'receive']],
            'a list of names, or a map',
        ];
        yield 'an unknown capability' => [['ann', ['lobby' => ['read']]], 'a capability must be'];
        yield 'a capability that is not a string' => [['ann', ['lobby' => [7]]], 'a capability must be'];
        yield 'a ttl of 0' => [['ann', ['lobby'], 0], 'ttl must be at least 1; it is 0'];
        yield 'a list as info' => [['ann', ['lobby'], 60, ['Ann']], 'must be a map'];
        yield 'info of 1,025 bytes' => [['ann', ['*'], 60, ['text' => str_repeat('x', 1025 - 11)]], '1,024 bytes of JSON; it has 1025'];
        yield 'info that is not UTF-8' => [['ann', ['lobby'], 60, ['name' => "\xe9"]], 'info cannot be encoded as JSON'];
        yield 'a rate limit of 0' => [['ann', ['lobby'], 60, [], 0], 'messages_per_second must be at least 1'];
        yield 'a size limit of -1' => [['ann', ['lobby'], 60, [], null, -1], 'message_bytes must be at least 1'];
        yield 'too many rooms' => [['ann', self::names(70)], 'larger than 8 KiB'];
    }

    /** @return list<string> */
    private static function names(int $count): array
    {
        return array_map(static fn (int $n): string => str_pad("$n", 120, '-'), range(1, $count));
    }

    /** @dataProvider badSecrets */
    public function testRejectsSecretsThatTheWorkerWouldReject(string $secret): void
    {
        $this->expectException(InvalidArgumentException::class);
        new TokenIssuer($secret);
    }

    public static function badSecrets(): iterable
    {
        yield 'an empty secret' => [''];
        yield '31 bytes of text' => [str_repeat('x', 31)];
        yield '31 bytes in base64url' => ['base64url:' . rtrim(base64_encode(str_repeat('x', 31)), '=')];
        yield 'base64 instead of base64url' => ['base64url:' . base64_encode(str_repeat("\xff", 33))];
        yield 'base64url with a space' => ['base64url:' . str_repeat('eHh4', 11) . ' eHh4'];
    }

    public function testDumpsDoNotContainTheSecret(): void
    {
        self::assertStringNotContainsString(self::SECRET, print_r(new TokenIssuer(self::SECRET), true));
    }
}
