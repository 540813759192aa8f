<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Support\Facades\Event;
use RuntimeException;
use Snug\Laravel\Events\MemberJoined;
use Snug\Laravel\Events\MemberLeft;
use Snug\Laravel\Events\MessagePublished;
use Snug\Laravel\Events\RoomOccupied;
use Snug\Laravel\Events\RoomVacated;
use Symfony\Component\HttpFoundation\Response;

/** Tests the webhook route in Laravel. tests/laravel-echo.spec.ts tests it with the Worker's own requests. */
final class WebhookTest extends LaravelTestCase
{
    private const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

    protected function setUp(): void
    {
        parent::setUp();
        $this->app['config']->set('snug.webhook.secret', self::SECRET);
    }

    /** @param list<array<string, mixed>> $events */
    private function deliver(string $room, array $events, string $secret = self::SECRET): Response
    {
        $body = json_encode(['type' => 'room.events', 'data' => ['room' => $room, 'events' => $events]]);
        [$id, $time] = ['msg_1', (string) time()];
        $key = base64_decode(substr($secret, 6));
        return $this->post('/snug/webhook', body: $body, headers: [
            'Content-Type' => 'application/json',
            'webhook-id' => $id,
            'webhook-timestamp' => $time,
            'webhook-signature' => 'v1,' . base64_encode(hash_hmac('sha256', "$id.$time.$body", $key, true)),
        ]);
    }

    /** @return array<string, mixed> */
    private static function event(int $seq, string $type, array $fields = []): array
    {
        return ['id' => "a-$seq", 'seq' => $seq, 'type' => $type, 'time' => 1_800_000_000_000] + $fields;
    }

    /** @return list<object> The events of the package that are fired from now on. */
    private static function &record(): array
    {
        $fired = [];
        Event::listen('Snug\Laravel\Events\*', static function (string $name, array $arguments) use (&$fired): void {
            $fired[] = $arguments[0];
        });
        return $fired;
    }

    public function testEachEventFiresAnEventOfLaravel(): void
    {
        $fired = &self::record();
        $message = ['offset' => 3, 'time' => 1, 'user' => 'ann', 'event' => 'chat', 'data' => ['text' => 'hi']];
        $response = $this->deliver('presence-chat.1', [
            self::event(1, 'room.occupied'),
            self::event(2, 'member.joined', ['user' => 'ann', 'info' => ['name' => 'Ann']]),
            self::event(3, 'message.published', ['epoch' => 'e', 'message' => $message]),
            self::event(4, 'of.the.future'),
            self::event(5, 'member.left', ['user' => 'ann']),
            self::event(6, 'room.vacated'),
        ]);
        self::assertSame(204, $response->getStatusCode(), (string) $response->getContent());
        self::assertSame(
            [RoomOccupied::class, MemberJoined::class, MessagePublished::class, MemberLeft::class, RoomVacated::class],
            array_map('get_class', $fired),
        );
        self::assertSame(array_fill(0, 5, 'presence-chat.1'), array_column($fired, 'room'));
        self::assertSame(array_fill(0, 5, 'presence-chat.1'), array_column($fired, 'channel'));
        self::assertSame(['ann', ['name' => 'Ann']], [$fired[1]->user, $fired[1]->info]);
        self::assertSame(['text' => 'hi'], $fired[2]->message->data);
        self::assertSame(['ann', 5], [$fired[3]->user, $fired[3]->event->seq]);
    }

    public function testChannelsHaveTheirNamesInLaravel(): void
    {
        $fired = &self::record();
        $this->deliver('public-news', [self::event(1, 'room.occupied')]);
        $this->deliver('lobby', [self::event(2, 'room.occupied')]);
        self::assertSame(['news', null], [$fired[0]->channel, $fired[1]->channel]);
    }

    public function testARepeatedDeliveryFiresNothingTwice(): void
    {
        $fired = &self::record();
        $events = [self::event(1, 'room.occupied'), self::event(2, 'member.joined', ['user' => 'ann'])];
        $this->deliver('lobby', $events);
        $this->deliver('lobby', [...$events, self::event(3, 'member.left', ['user' => 'ann'])]);
        self::assertSame([1, 2, 3], array_map(static fn (object $one): int => $one->event->seq, $fired));
        // Another room may number its events alike.
        $this->deliver('other', $events);
        self::assertCount(5, $fired);
    }

    public function testADeliveryContinuesWithTheEventWhoseListenerFailed(): void
    {
        $fired = &self::record();
        $isBroken = true;
        Event::listen(MemberJoined::class, static function () use (&$isBroken): void {
            if ($isBroken) {
                throw new RuntimeException('the database is away');
            }
        });
        $events = [
            self::event(1, 'room.occupied'),
            self::event(2, 'member.joined', ['user' => 'ann']),
            self::event(3, 'member.left', ['user' => 'ann']),
        ];
        self::assertSame(500, $this->deliver('lobby', $events)->getStatusCode());
        $isBroken = false;
        $fired = [];
        self::assertSame(204, $this->deliver('lobby', $events)->getStatusCode());
        self::assertSame([2, 3], array_map(static fn (object $one): int => $one->event->seq, $fired));
    }

    public function testARequestThatIsNotFromSnugIsRejected(): void
    {
        $fired = &self::record();
        $other = 'whsec_' . base64_encode(str_repeat('x', 32));
        self::assertSame(401, $this->deliver('lobby', [self::event(1, 'room.occupied')], $other)->getStatusCode());
        self::assertSame(401, $this->post('/snug/webhook', body: '{}')->getStatusCode());
        self::assertSame([], $fired);
    }

    public function testBothSecretsAreValidDuringARotation(): void
    {
        $new = 'whsec_' . base64_encode(str_repeat('n', 32));
        $this->app['config']->set(['snug.webhook.secret' => $new, 'snug.webhook.previous_secret' => self::SECRET]);
        self::assertSame(204, $this->deliver('lobby', [self::event(1, 'room.occupied')])->getStatusCode());
        self::assertSame(204, $this->deliver('lobby', [self::event(2, 'room.vacated')], $new)->getStatusCode());
    }

    public function testWithoutASecretThereIsNoWebhook(): void
    {
        $this->app['config']->set('snug.webhook.secret', null);
        self::assertSame(404, $this->deliver('lobby', [self::event(1, 'room.occupied')])->getStatusCode());
    }
}
