<?php

declare(strict_types=1);

namespace Snug\Tests;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Snug\BadSignature;
use Snug\Submission;
use Snug\Verdict;
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

    public function testEventsAreReadAsTheyAre(): void
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

    public function testTheExampleOfTheProtocolIsRead(): void
    {
        $body = file_get_contents(__DIR__ . '/../../tests/vectors/webhook_events.json');
        $delivery = (new Webhook(self::SECRET))->events($body, self::signed($body));
        $told = json_decode($body, true)['data'];
        self::assertSame($told['room'], $delivery->room);
        foreach (['id', 'seq', 'type', 'time'] as $field) {
            self::assertSame(array_column($told['events'], $field), array_column($delivery->events, $field));
        }
    }

    /** Signed by Node, with a secret of its own: see tests/php.spec.ts. */
    public function testWhatAnotherImplementationHasSignedHolds(): void
    {
        ['secret' => $secret, 'body' => $body, 'headers' => $headers] = json_decode(Live::env('SIGNED'), true);
        $delivery = (new Webhook($secret))->events($body, $headers);
        self::assertSame('é 🦀', $delivery->events[0]->user);
    }

    /**
     * The example of Standard Webhooks' own tests: libraries/php/tests/WebhookTest.php, testSignFunctionWorks, of
     * https://github.com/standard-webhooks/standard-webhooks at commit 10f5314.
     */
    public function testTheExampleOfStandardWebhooksHolds(): void
    {
        $check = new \ReflectionMethod(Webhook::class, 'isSigned');
        $content = 'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}';
        $signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';
        self::assertTrue($check->invoke(new Webhook(self::SECRET), $content, $signature));
        self::assertFalse($check->invoke(new Webhook(self::OTHER), $content, $signature));
    }

    public function testHeadersCountHoweverTheyAreWritten(): void
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

    public function testOneOfSeveralSignaturesIsEnough(): void
    {
        $headers = self::signed(self::BODY);
        $wrong = 'v1,' . base64_encode(random_bytes(32));
        $headers['webhook-signature'] = "v1a,xyz $wrong {$headers['webhook-signature']} $wrong";
        self::assertSame('msg_1', (new Webhook(self::SECRET))->events(self::BODY, $headers)->id);
    }

    public function testWhileTheSecretIsChangedEitherIsEnough(): void
    {
        $webhook = new Webhook(self::OTHER, self::SECRET);
        foreach ([self::SECRET, self::OTHER] as $secret) {
            self::assertSame('msg_1', $webhook->events(self::BODY, self::signed(self::BODY, secret: $secret))->id);
        }
    }

    /** @dataProvider ages */
    public function testWhatIsFiveMinutesAwayHoldsAndNothingFurther(int $age, bool $holds): void
    {
        $webhook = new Webhook(self::SECRET);
        if (!$holds) {
            $this->expectException(BadSignature::class);
            $this->expectExceptionMessage('five minutes');
        }
        self::assertSame('msg_1', $webhook->events(self::BODY, self::signed(self::BODY, $age))->id);
    }

    public static function ages(): iterable
    {
        // Some seconds less and more, since the clock goes on meanwhile.
        yield 'just young enough' => [290, true];
        yield 'too old' => [301, false];
        yield 'just not too early' => [-299, true];
        yield 'too early' => [-310, false];
    }

    /** @dataProvider forgeries */
    public function testWhatIsNotSignedIsRefused(\Closure $forge, string $message): void
    {
        [$body, $headers] = $forge(self::BODY, self::signed(self::BODY));
        $this->expectException(BadSignature::class);
        $this->expectExceptionMessage($message);
        (new Webhook(self::SECRET))->events($body, $headers);
    }

    public static function forgeries(): iterable
    {
        $with = static fn (string $name, string $value): \Closure =>
            static fn (string $body, array $headers): array => [$body, [$name => $value] + $headers];
        $without = static fn (string $name): \Closure =>
            static fn (string $body, array $headers): array => [$body, array_diff_key($headers, [$name => ''])];
        yield 'another body' => [static fn (string $body, array $headers) => ["$body ", $headers], 'no signature holds'];
        yield 'another id' => [$with('webhook-id', 'msg_2'), 'no signature holds'];
        yield 'another time' => [$with('webhook-timestamp', (string) (time() + 9)), 'no signature holds'];
        yield 'a time with a sign' => [$with('webhook-timestamp', '+' . time()), 'no time'];
        yield 'a time with a line break' => [$with('webhook-timestamp', time() . "\n"), 'no time'];
        yield 'a time in words' => [$with('webhook-timestamp', 'now'), 'no time'];
        yield 'no signature in it' => [$with('webhook-signature', ''), 'no signature holds'];
        yield 'a version alone' => [$with('webhook-signature', 'v1,'), 'no signature holds'];
        yield 'no id' => [$without('webhook-id'), 'there is no webhook-id'];
        yield 'no time at all' => [$without('webhook-timestamp'), 'there is no webhook-timestamp'];
        yield 'no signature' => [$without('webhook-signature'), 'there is no webhook-signature'];
        yield 'the signature of another version' => [
            static fn (string $body, array $headers): array =>
                [$body, str_replace('v1,', 'v2,', $headers)],
            'no signature holds',
        ];
        yield 'another secret' => [
            static fn (string $body): array => [$body, self::signed($body, secret: self::OTHER)],
            'no signature holds',
        ];
        yield 'a question that is signed' => [
            static function (): array {
                $body = '{"type":"room.publish","data":{"room":"lobby","messages":[]}}';
                return [$body, self::signed($body)];
            },
            "no 'room.events'",
        ];
        yield 'no JSON, but signed' => [static fn (): array => ['{', self::signed('{')], "no 'room.events'"];
    }

    public function testEachMessageIsJudgedInOrder(): void
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
        $answer = (new Webhook(self::SECRET))->judge(
            $body,
            self::signed($body),
            static function (Submission $message) use (&$seen): Verdict {
                $seen[] = [$message->room, $message->user, $message->connection, $message->event];
                return match ($message->data) {
                    'hello' => Verdict::allow(),
                    'damn' => Verdict::replace('d…n/'),
                    default => Verdict::refuse('no links, please'),
                };
            },
        );
        self::assertSame(
            '{"verdicts":[{"allow":true},{"allow":true,"data":"d…n/"},{"allow":false,"reason":"no links, please"}]}',
            $answer,
        );
        self::assertSame([
            ['lobby', 'ann', '3f1c', 'chat'],
            ['lobby', 'bob', '5d20', null],
            ['lobby', 'cho', 'a07b', null],
        ], $seen);
    }

    public function testTheExampleOfJudgingIsAnsweredAsInTheProtocol(): void
    {
        $vectors = __DIR__ . '/../../tests/vectors';
        $body = file_get_contents("$vectors/publish_hook_request.json");
        $answer = (new Webhook(self::SECRET))->judge(
            $body,
            self::signed($body),
            static fn (Submission $message): Verdict => match ($message->user) {
                'ann' => Verdict::allow(),
                'bob' => Verdict::replace(['text' => 'D…, Ann!']),
                default => Verdict::refuse('no links, please'),
            },
        );
        self::assertJsonStringEqualsJsonFile("$vectors/publish_hook_response.json", $answer);
    }

    public function testNobodyIsAskedAboutWhatIsNotSigned(): void
    {
        $body = '{"type":"room.publish","data":{"room":"lobby","messages":[{"user":"ann","connection":"3f","data":1}]}}';
        $this->expectException(BadSignature::class);
        (new Webhook(self::SECRET))->judge($body, self::signed("$body "), static fn () => self::fail('asked'));
    }

    public function testAReasonHas256BytesAndNotOneMore(): void
    {
        $reason = str_repeat('é', 128);
        self::assertStringContainsString($reason, json_encode(Verdict::refuse($reason), JSON_UNESCAPED_UNICODE));
        $this->expectException(InvalidArgumentException::class);
        Verdict::refuse("$reason.");
    }

    public function testAVerdictMayBeNull(): void
    {
        self::assertSame('{"allow":true,"data":null}', json_encode(Verdict::replace(null)));
    }

    /** @dataProvider badSecrets */
    public function testASecretOfAnotherFormIsAnErrorAtOnce(string ...$secrets): void
    {
        $this->expectException(InvalidArgumentException::class);
        new Webhook(...$secrets);
    }

    public static function badSecrets(): iterable
    {
        yield 'none' => [];
        yield 'an empty one' => [''];
        yield 'one of 23 bytes' => ['whsec_' . base64_encode(random_bytes(23))];
        yield 'one of 65 bytes' => ['whsec_' . base64_encode(random_bytes(65))];
        yield 'one without its beginning' => [substr(self::SECRET, strlen('whsec_'))];
        yield 'no base64' => ['whsec_' . str_repeat('!', 40)];
        yield 'a good one and a bad one' => [self::SECRET, 'whsec_'];
    }

    public function testTheSecretIsNotShown(): void
    {
        $shown = print_r(new Webhook(self::SECRET), true);
        self::assertStringNotContainsString('MfKQ', $shown);
        self::assertStringNotContainsString(base64_decode(substr(self::SECRET, 6)), $shown);
    }
}
