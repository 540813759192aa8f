<?php

declare(strict_types=1);

namespace Snug\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Snug\WebhookVerificationException;
use Snug\ProposedMessage;
use Snug\Decision;
use Snug\Webhook;

final class WebhookTest extends TestCase
{
    private const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    private const OTHER = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
    private const BODY = <<<'JSON'
        { "type": "room.events", "timestamp": "2027-01-15T08:00:05.000Z", "data": { "room": "team:7:general", "events": [
          { "id": "5b0e-7", "seq": 7, "type": "room.occupied", "time": 1800000004200 },
          { "id": "5b0e-8", "seq": 8, "type": "member.joined", "time": 1800000004200, "user": "ann", "info": { "name": "安" } },
          { "id": "5b0e-9", "seq": 9, "type": "message.published", "time": 1800000005000, "message":
            { "offset": 41, "time": 1800000005000, "user": "ann", "connection": "3f1c", "event": "chat", "data": { "n": 1.0 } } },
          { "id": "5b0e-10", "seq": 10, "type": "member.left", "time": 1800000006000, "user": "ann" },
          { "id": "5b0e-11", "seq": 11, "type": "room.vacated", "time": 1800000011000 },
          { "id": "5b0e-12", "seq": 12, "type": "of.tomorrow", "time": 1800000012000, "more": [] } ] } }
        JSON;

    /** @return array<string, string> */
    private static function signed(string $body, int $age = 0, string $secret = self::SECRET, string $id = 'msg_1'): array
    {
        $timestamp = (string) (time() - $age);
        $key = base64_decode(substr($secret, strlen('whsec_')));
        return [
            'webhook-id' => $id,
            'webhook-timestamp' => $timestamp,
            'webhook-signature' => 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true)),
        ];
    }

    public function testEventsReturnsTheEventsInOrder(): void
    {
        $delivery = (new Webhook(self::SECRET))->events(self::BODY, self::signed(self::BODY));
        self::assertSame(['msg_1', 'team:7:general'], [$delivery->id, $delivery->room]);
        self::assertSame(
            ['room.occupied', 'member.joined', 'message.published', 'member.left', 'room.vacated', 'of.tomorrow'],
            array_column($delivery->events, 'type'),
        );
        self::assertSame(range(7, 12), array_column($delivery->events, 'seq'));
        [$occupied, $joined, $published] = $delivery->events;
        self::assertSame(['5b0e-7', 1800000004200, null], [$occupied->id, $occupied->time, $occupied->user]);
        self::assertSame([[], null], [$occupied->info, $occupied->message]);
        self::assertSame(['ann', ['name' => '安']], [$joined->user, $joined->info]);
        self::assertSame([41, 'ann', '3f1c', 'chat', ['n' => 1.0]], [
            $published->message->offset,
            $published->message->user,
            $published->message->connection,
            $published->message->event,
            $published->message->data,
        ]);
    }

    public function testAMentionHasTheUserAndTheMessage(): void
    {
        $message = ['offset' => 7, 'time' => 1800000005000, 'user' => 'ann', 'mentions' => ['bob']];
        $event = ['id' => '5b0e-7', 'seq' => 7, 'type' => 'member.mentioned', 'time' => 1800000005000];
        $event += ['epoch' => '5b0e', 'user' => 'bob', 'message' => $message];
        $data = ['room' => 'lobby', 'events' => [$event]];
        $body = json_encode(['type' => 'room.events', 'timestamp' => '2027-01-15T08:00:05.000Z', 'data' => $data]);
        [$mentioned] = (new Webhook(self::SECRET))->events($body, self::signed($body))->events;
        self::assertSame(['member.mentioned', 'bob', '5b0e'], [$mentioned->type, $mentioned->user, $mentioned->epoch]);
        self::assertSame([7, 'ann', ['bob'], null], [
            $mentioned->message->offset,
            $mentioned->message->user,
            $mentioned->message->mentions,
            $mentioned->message->data,
        ]);
    }

    public function testADecisionReturnsDataAsItCame(): void
    {
        $data = '{"style":{},"tags":[],"cells":{"0":{},"1":[]},"n":1.0,"id":9007199254740993}';
        $body = '{"type":"room.publish","timestamp":"2027-01-15T08:00:05.000Z","data":{"room":"lobby","messages":'
            . '[{"user":"ann","connection":"3f1c","data":' . $data . '}]}}';
        $decide = static fn (ProposedMessage $message): Decision => Decision::replace($message->data);
        $response = (new Webhook(self::SECRET))->decide($body, self::signed($body), $decide);
        self::assertSame('{"decisions":[{"allow":true,"data":' . $data . '}]}', $response);
    }

    public function testRejectsASignedBodyThatIsNotJson(): void
    {
        $this->expectException(WebhookVerificationException::class);
        (new Webhook(self::SECRET))->events('{"type":', self::signed('{"type":'));
    }

    public function testDecodesTheWebhookInTheProtocol(): void
    {
        $body = file_get_contents(__DIR__ . '/../../tests/vectors/webhook_events.json');
        $delivery = (new Webhook(self::SECRET))->events($body, self::signed($body));
        $expected = json_decode($body, true)['data'];
        self::assertSame($expected['room'], $delivery->room);
        foreach (['id', 'seq', 'type', 'time'] as $field) {
            self::assertSame(array_column($expected['events'], $field), array_column($delivery->events, $field));
        }
        [$published] = array_values(array_filter($delivery->events, static fn ($event): bool => $event->message !== null));
        self::assertSame(['name' => 'Ann', 'color' => '#c0392b'], $published->message->info);
    }

    /** tests/php.spec.ts signs the request with Node and a random secret. */
    public function testAcceptsARequestSignedByNode(): void
    {
        ['secret' => $secret, 'body' => $body, 'headers' => $headers] = json_decode(LiveWorker::env('SIGNED'), true);
        $delivery = (new Webhook($secret))->events($body, $headers);
        self::assertSame('é 🦀', $delivery->events[0]->user);
    }

    /**
     * Uses the example of Standard Webhooks' own tests: testSignFunctionWorks in libraries/php/tests/WebhookTest.php of
     * https://github.com/standard-webhooks/standard-webhooks at commit 10f5314.
     */
    public function testAcceptsTheExampleOfStandardWebhooks(): void
    {
        $check = new \ReflectionMethod(Webhook::class, 'isSigned');
        $content = 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}';
        $signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
        self::assertTrue($check->invoke(new Webhook(self::SECRET), $content, $signature));
        self::assertFalse($check->invoke(new Webhook(self::OTHER), $content, $signature));
    }

    public function testHeaderNamesAreCaseInsensitive(): void
    {
        $headers = self::signed(self::BODY);
        $webhook = new Webhook(self::SECRET);
        $forms = [
            array_combine(array_map('ucwords', array_keys($headers)), $headers),
            array_change_key_case($headers, CASE_UPPER),
            array_map(static fn (string $value): array => [$value], $headers),
        ];
        foreach ($forms as $form) {
            self::assertSame('msg_1', $webhook->events(self::BODY, $form)->id);
        }
    }

    public function testAcceptsOneValidSignatureAmongSeveral(): void
    {
        $headers = self::signed(self::BODY);
        $wrong = 'v1,' . base64_encode(random_bytes(32));
        $headers['webhook-signature'] = "v1a,xyz $wrong {$headers['webhook-signature']} $wrong";
        self::assertSame('msg_1', (new Webhook(self::SECRET))->events(self::BODY, $headers)->id);
    }

    public function testAcceptsEitherSecretDuringRotation(): void
    {
        $webhook = new Webhook(self::OTHER, self::SECRET);
        foreach ([self::SECRET, self::OTHER] as $secret) {
            self::assertSame('msg_1', $webhook->events(self::BODY, self::signed(self::BODY, secret: $secret))->id);
        }
    }

    /** @dataProvider ages */
    public function testAcceptsTimestampsWithinFiveMinutes(int $age, bool $isAccepted): void
    {
        $webhook = new Webhook(self::SECRET);
        if (!$isAccepted) {
            $this->expectException(WebhookVerificationException::class);
            $this->expectExceptionMessage('five minutes');
        }
        self::assertSame('msg_1', $webhook->events(self::BODY, self::signed(self::BODY, $age))->id);
    }

    public static function ages(): iterable
    {
        // A few seconds inside or outside the limit, since time passes during the test.
        yield 'just recent enough' => [290, true];
        yield 'too old' => [301, false];
        yield 'just early enough' => [-299, true];
        yield 'too early' => [-310, false];
    }

    /** @dataProvider forgeries */
    public function testRejectsRequestsWithoutAValidSignature(\Closure $forge, string $message): void
    {
        [$body, $headers] = $forge(self::BODY, self::signed(self::BODY));
        $this->expectException(WebhookVerificationException::class);
        $this->expectExceptionMessage($message);
        (new Webhook(self::SECRET))->events($body, $headers);
    }

    public static function forgeries(): iterable
    {
        $with = static fn (string $name, string $value): \Closure =>
            static fn (string $body, array $headers): array => [$body, [$name => $value] + $headers];
        $without = static fn (string $name): \Closure =>
            static fn (string $body, array $headers): array => [$body, array_diff_key($headers, [$name => ''])];
        yield 'another body' => [
            static fn (string $body, array $headers): array => ["$body ", $headers],
            'does not match the request',
        ];
        yield 'another id' => [$with('webhook-id', 'msg_2'), 'does not match the request'];
        yield 'another timestamp' => [$with('webhook-timestamp', (string) (time() + 9)), 'does not match the request'];
        yield 'a timestamp with a sign' => [$with('webhook-timestamp', '+' . time()), 'must be a number'];
        yield 'a timestamp with a line break' => [$with('webhook-timestamp', time() . "\n"), 'must be a number'];
        yield 'a timestamp in words' => [$with('webhook-timestamp', 'now'), 'must be a number'];
        yield 'an empty signature' => [$with('webhook-signature', ''), 'does not match the request'];
        yield 'a version without a signature' => [$with('webhook-signature', 'v1,'), 'does not match the request'];
        yield 'no id' => [$without('webhook-id'), 'the header webhook-id is missing'];
        yield 'no timestamp' => [$without('webhook-timestamp'), 'the header webhook-timestamp is missing'];
        yield 'no signature' => [$without('webhook-signature'), 'the header webhook-signature is missing'];
        yield 'a signature of another version' => [
            static fn (string $body, array $headers): array =>
                [$body, str_replace('v1,', 'v2,', $headers)],
            'does not match the request',
        ];
        yield 'another secret' => [
            static fn (string $body): array => [$body, self::signed($body, secret: self::OTHER)],
            'does not match the request',
        ];
        yield 'a signed publish hook request' => [
            static function (): array {
                $body = '{"type":"room.publish","data":{"room":"lobby","messages":[]}}';
                return [$body, self::signed($body)];
            },
            "its type is not 'room.events'",
        ];
        yield 'signed text that is not JSON' => [static fn (): array => ['{', self::signed('{')], "its type is not 'room.events'"];
    }

    public function testDecideCallsTheHookForEachMessageInOrder(): void
    {
        $body = json_encode(['type' => 'room.publish', 'timestamp' => '2027-01-15T08:00:05.000Z', 'data' => [
            'room' => 'lobby',
            'messages' => [
                ['user' => 'ann', 'connection' => '3f1c', 'event' => 'chat', 'data' => 'hello'],
                ['user' => 'bob', 'connection' => '5d20', 'data' => 'damn'],
                ['user' => 'cho', 'connection' => 'a07b', 'data' => ['link' => 'https://example.com']],
            ],
        ]]);
        $seen = [];
        $response = (new Webhook(self::SECRET))->decide(
            $body,
            self::signed($body),
            static function (ProposedMessage $message) use (&$seen): Decision {
                $seen[] = [$message->room, $message->user, $message->connection, $message->event];
                return match ($message->data) {
                    'hello' => Decision::allow(),
                    'damn' => Decision::replace('d…n/'),
                    default => Decision::refuse('no links, please'),
                };
            },
        );
        self::assertSame(
            '{"decisions":[{"allow":true},{"allow":true,"data":"d…n/"},{"allow":false,"reason":"no links, please"}]}',
            $response,
        );
        self::assertSame([
            ['lobby', 'ann', '3f1c', 'chat'],
            ['lobby', 'bob', '5d20', null],
            ['lobby', 'cho', 'a07b', null],
        ], $seen);
    }

    public function testDecideSeesRepliesAndChanges(): void
    {
        $head = ['user' => 'ann', 'connection' => '3f1c'];
        $body = json_encode(['type' => 'room.publish', 'timestamp' => '2027-01-15T08:00:05.000Z', 'data' => [
            'room' => 'lobby',
            'messages' => [
                $head + ['data' => 'a new message'],
                $head + ['re' => 41, 'mentions' => ['bob'], 'data' => 'a reply'],
                $head + ['of' => 42, 'action' => 'edit', 'data' => 'new data'],
                $head + ['of' => 43, 'action' => 'append', 'data' => 'more text'],
            ],
        ]]);
        $seen = [];
        $decide = static function (ProposedMessage $message) use (&$seen): Decision {
            $seen[] = [$message->re, $message->of, $message->action, $message->mentions];
            return Decision::allow();
        };
        (new Webhook(self::SECRET))->decide($body, self::signed($body), $decide);
        self::assertSame([
            [null, null, null, []],
            [41, null, null, ['bob']],
            [null, 42, 'edit', []],
            [null, 43, 'append', []],
        ], $seen);
    }

    public function testDecideReturnsTheResponseInTheProtocol(): void
    {
        $vectors = __DIR__ . '/../../tests/vectors';
        $body = file_get_contents("$vectors/publish_hook_request.json");
        $response = (new Webhook(self::SECRET))->decide(
            $body,
            self::signed($body),
            static fn (ProposedMessage $message): Decision => match ($message->user) {
                'ann' => Decision::allow(),
                'bob' => Decision::replace(['text' => 'D…, Ann!']),
                default => Decision::refuse('no links, please'),
            },
        );
        self::assertJsonStringEqualsJsonFile("$vectors/publish_hook_response.json", $response);
    }

    public function testDecideDoesNotCallTheHookForUnsignedRequests(): void
    {
        $body = '{"type":"room.publish","data":{"room":"lobby","messages":[{"user":"ann","connection":"3f","data":1}]}}';
        $this->expectException(WebhookVerificationException::class);
        (new Webhook(self::SECRET))->decide($body, self::signed("$body "), static fn () => self::fail('the hook was called'));
    }

    public function testARefusalReasonHasAtMost256Bytes(): void
    {
        $reason = str_repeat('é', 128);
        self::assertStringContainsString($reason, json_encode(Decision::refuse($reason), JSON_UNESCAPED_UNICODE));
        $this->expectException(InvalidArgumentException::class);
        Decision::refuse("$reason.");
    }

    public function testReplacementDataMayBeNull(): void
    {
        self::assertSame('{"allow":true,"data":null}', json_encode(Decision::replace(null)));
    }

    /** @dataProvider badSecrets */
    public function testRejectsMalformedSecrets(string ...$secrets): void
    {
        $this->expectException(InvalidArgumentException::class);
        new Webhook(...$secrets);
    }

    public static function badSecrets(): iterable
    {
        yield 'no secret' => [];
        yield 'an empty secret' => [''];
        yield '23 bytes' => ['whsec_' . base64_encode(random_bytes(23))];
        yield '65 bytes' => ['whsec_' . base64_encode(random_bytes(65))];
        yield 'no whsec_ prefix' => [substr(self::SECRET, strlen('whsec_'))];
        yield 'not base64' => ['whsec_' . str_repeat('!', 40)];
        yield 'a valid and an invalid secret' => [self::SECRET, 'whsec_'];
    }

    public function testDumpsDoNotContainTheSecret(): void
    {
        $dump = print_r(new Webhook(self::SECRET), true);
        self::assertStringNotContainsString('MfKQ', $dump);
        self::assertStringNotContainsString(base64_decode(substr(self::SECRET, 6)), $dump);
    }
}
