<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Auth\GenericUser;
use Illuminate\Support\Facades\Broadcast;
use Snug\Tests\TestConnection;

/** Tests the tokens of `/broadcasting/auth` in Laravel, and that the built Worker accepts them. */
final class AuthTest extends LaravelTestCase
{
    public function testARuleGrantsExactlyItsRoom(): void
    {
        $this->actAs('ann');
        $token = $this->token('private-orders.ann');
        self::assertSame('upgrade_required', self::tryToken('private-orders.ann', $token));
        self::assertSame('room_forbidden', self::tryToken('private-orders.bob', $token));
        self::assertSame('room_forbidden', self::tryToken('presence-orders.ann', $token));
        self::assertSame('room_forbidden', self::tryToken('public-orders.ann', $token));
        $claims = self::claimsOf($token);
        self::assertSame('ann', $claims['sub']);
        self::assertSame(['private-orders.ann' => ['receive', 'history', 'signal']], $claims['rooms']);
        self::assertArrayNotHasKey('info', $claims);
    }

    public function testAPresenceTokenHasTheProfileOfTheRule(): void
    {
        $this->actAs('ann');
        $claims = self::claimsOf($this->token('presence-chat.1'));
        self::assertSame(['id' => 'ann', 'name' => 'Ann'], $claims['info']);
        self::assertSame(['presence-chat.1' => ['receive', 'history', 'signal', 'presence']], $claims['rooms']);
    }

    /** @dataProvider refused */
    public function testOtherChannelsAreRefused(mixed $channel): void
    {
        $this->actAs('ann');
        $response = $this->post('/broadcasting/auth', ['channel_name' => $channel]);
        self::assertSame(403, $response->getStatusCode(), (string) $response->getContent());
    }

    public static function refused(): iterable
    {
        yield 'of another user' => ['private-orders.bob'];
        yield 'without a rule' => ['private-unknown'];
        yield 'public' => ['orders.ann'];
        yield 'encrypted' => ['private-encrypted-orders.ann'];
        yield 'a wildcard that a rule accepts' => ['presence-chat.*'];
        yield 'a name that is no room' => ['presence-chat.1,2'];
        yield 'a name that is too long' => ['presence-chat.' . str_repeat('x', 128)];
        yield 'a list' => [['private-orders.ann']];
        yield 'only a prefix' => ['private-'];
    }

    public function testGuestsAreRefusedInPrivateChannels(): void
    {
        $response = $this->post('/broadcasting/auth', ['channel_name' => 'presence-chat.1']);
        self::assertSame(403, $response->getStatusCode());
    }

    public function testTheTokenOfTheConnectionGrantsPublicChannels(): void
    {
        $this->actAs('ann');
        $token = $this->token();
        self::assertSame('upgrade_required', self::tryToken('public-news', $token));
        self::assertSame('room_forbidden', self::tryToken('private-orders.ann', $token));
        self::assertSame('room_forbidden', self::tryToken('presence-chat.1', $token));
        self::assertSame('room_forbidden', self::tryToken('lobby', $token));
        self::assertSame('ann', self::claimsOf($token)['sub']);
    }

    public function testAGuestKeepsAnIdThatTheSecretDetermines(): void
    {
        [$one, $two] = [str_repeat('1', 32), str_repeat('2', 32)];
        $subjectOf = fn (array $fields): string => self::claimsOf($this->token(null, $fields))['sub'];
        $first = $subjectOf(['guest' => $one]);
        self::assertMatchesRegularExpression('/^guest:[0-9a-f]{32}$/', $first);
        self::assertSame($first, $subjectOf(['guest' => $one]));
        self::assertNotSame($first, $subjectOf(['guest' => $two]));
        self::assertStringNotContainsString($one, $first);
        // Without a secret, or with one that can be guessed, each request is from another guest.
        self::assertNotSame($subjectOf([]), $subjectOf([]));
        self::assertNotSame($subjectOf(['guest' => 'x']), $subjectOf(['guest' => 'x']));
        self::assertNotSame($subjectOf(['guest' => [$one]]), $subjectOf(['guest' => [$one]]));
    }

    public function testCapabilitiesAndLifetimeAreSettings(): void
    {
        $this->app['config']->set([
            'snug.capabilities.private' => ['receive'],
            'snug.capabilities.guest' => [],
            'snug.jwt.ttl' => '60',
        ]);
        self::assertSame(['public-*' => []], self::claimsOf($this->token())['rooms']);
        $this->actAs('ann');
        $claims = self::claimsOf($this->token('private-orders.ann'));
        self::assertSame(['receive'], $claims['rooms']['private-orders.ann']);
        self::assertEqualsWithDelta(60, $claims['exp'] - $claims['iat'], 2);
    }

    public function testABroadcastingIdentifierReplacesTheId(): void
    {
        $user = new class (['id' => 'ann']) extends GenericUser {
            public function getAuthIdentifierForBroadcasting(): string
            {
                return "user-$this->id";
            }
        };
        $this->app['auth']->setUser($user);
        self::assertSame('user-ann', self::claimsOf($this->token('private-orders.ann'))['sub']);
        self::assertSame('user-ann', self::claimsOf($this->token())['sub']);
    }

    public function testRulesGetTheParametersOfTheChannel(): void
    {
        $seen = [];
        Broadcast::channel('teams.{team}.rooms.{room}', static function (...$arguments) use (&$seen): bool {
            $seen = array_slice($arguments, 1);
            return true;
        });
        Broadcast::channel('profiles', static fn (): bool => true);
        $this->actAs('ann');
        $this->token('private-teams.7.rooms.general');
        // The rule takes variadic arguments, which Laravel passes by position.
        self::assertSame(['7', 'general'], $seen);
        // A rule that returns true has no profile.
        self::assertArrayNotHasKey('info', self::claimsOf($this->token('presence-profiles')));
    }

    public function testMembersSeeTheProfileOfTheRule(): void
    {
        $this->actAs('ann');
        $claims = self::claimsOf($this->token('presence-chat.1'));
        $bob = new TestConnection('presence-chat.1', 'bob');
        new TestConnection('presence-chat.1', 'ann', $claims['rooms'], $claims['info']);
        self::assertSame(['id' => 'ann', 'name' => 'Ann'], $bob->next('presence')['joins'][0]['info']);
    }
}
