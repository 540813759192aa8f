<?php

declare(strict_types=1);

namespace Snug\Tests;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use GuzzleHttp\Psr7\Response;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;
use Snug\Draft;
use Snug\EpochChanged;
use Snug\Message;
use Snug\Problem;
use Snug\Refused;
use Snug\Room;
use Snug\Snug;
use Snug\TokenMint;
use Snug\Unreachable;

/** A back end and the Worker: real requests, and visitors on real sockets. */
final class SnugTest extends TestCase
{
    private Room $room;

    protected function setUp(): void
    {
        $this->room = Live::snug()->room(Live::newRoom());
    }

    private static function refusal(\Closure $attempt): Problem
    {
        try {
            $attempt();
        } catch (Refused $refused) {
            self::assertSame($refused->problem->status, $refused->getCode());
            self::assertStringContainsString($refused->problem->code, $refused->getMessage());
            return $refused->problem;
        }
        self::fail('not refused');
    }

    /** Something that answers in Snug's place. */
    private static function answering(\Closure $answer): Snug
    {
        $http = new class ($answer) implements ClientInterface {
            public function __construct(private \Closure $answer)
            {
            }

            public function sendRequest(RequestInterface $request): ResponseInterface
            {
                return ($this->answer)($request);
            }
        };
        $factory = new HttpFactory();
        return new Snug('https://chat.example.com/', Live::mint(), $http, $factory, $factory);
    }

    public function testAMessageIsStoredAndHeard(): void
    {
        $ann = new Visitor($this->room->name, 'ann');
        $before = time();
        $stored = $this->room->publish(['text' => 'Größe/👋', 'price' => 1.0], event: 'notice');
        self::assertSame([1, false], [$stored->offset, $stored->isDuplicate]);
        self::assertNotSame('', $stored->epoch);
        self::assertEqualsWithDelta($before * 1000, $stored->time, 30_000);
        $heard = $ann->next('message');
        self::assertSame(
            ['system', 'notice', ['text' => 'Größe/👋', 'price' => 1.0], 1],
            [$heard['user'], $heard['event'], $heard['data'], $heard['offset']],
        );
    }

    public function testAMessageIsOfWhomTheBackEndSays(): void
    {
        $this->room->publish('by the default');
        $this->room->publish('by another', user: 42);
        Live::snug('bot')->room($this->room->name)->publish('by the bot');
        self::assertSame(['system', '42', 'bot'], array_column($this->room->history()->messages, 'user'));
    }

    public function testAMessageUnderTheSameKeyIsStoredOnce(): void
    {
        $first = $this->room->publish('paid', key: 'order-7');
        $again = $this->room->publish('paid', key: 'order-7');
        self::assertSame([false, true], [$first->isDuplicate, $again->isDuplicate]);
        self::assertSame([$first->epoch, $first->offset], [$again->epoch, $again->offset]);
        self::assertCount(1, $this->room->history()->messages);
    }

    public function testManyMessagesAreStoredAsOne(): void
    {
        $stored = $this->room->publishAll(
            new Draft('one', key: 'k'),
            new Draft('two', user: 'ann', event: 'chat'),
            new Draft(null),
        );
        self::assertSame([1, 2, 3], array_column($stored, 'offset'));
        $messages = $this->room->history()->messages;
        self::assertSame(['one', 'two', null], array_column($messages, 'data'));
        self::assertSame(['system', 'ann', 'system'], array_column($messages, 'user'));
        self::assertSame([null, 'chat', null], array_column($messages, 'event'));
        self::assertSame([null, null, null], array_column($messages, 'connection'));
    }

    public function testAHundredMessagesAreTakenAndNotOneMore(): void
    {
        $drafts = array_map(static fn (int $n): Draft => new Draft($n), range(1, 101));
        self::assertSame('bad_request', self::refusal(fn () => $this->room->publishAll(...$drafts))->code);
        array_pop($drafts);
        self::assertCount(100, $this->room->publishAll(...$drafts));
    }

    public function testMessagesGoToManyRooms(): void
    {
        [$one, $two] = [Live::newRoom(), Live::newRoom()];
        $outcomes = Live::snug()->publish([$one, 'no room', $two], new Draft('hello'), new Draft('again'));
        self::assertSame([$one, 'no room', $two], array_column($outcomes, 'room'));
        self::assertSame([2, 0, 2], array_map(static fn ($outcome): int => count($outcome->stored), $outcomes));
        self::assertSame([null, null], [$outcomes[0]->problem, $outcomes[2]->problem]);
        self::assertSame([400, 'bad_room'], [$outcomes[1]->problem->status, $outcomes[1]->problem->code]);
        self::assertSame(['hello', 'again'], array_column(Live::snug()->room($two)->history()->messages, 'data'));
    }

    public function testPagesGoBothWays(): void
    {
        self::assertNull($this->room->history()->epoch);
        self::assertSame([], $this->room->history()->messages);
        $stored = $this->room->publishAll(...array_map(static fn (int $n): Draft => new Draft($n), range(1, 9)));
        $offsets = static fn ($page): array => [array_column($page->messages, 'offset'), $page->hasMore];
        self::assertSame([[8, 9], true], $offsets($this->room->history(limit: 2)));
        self::assertSame([[5, 6], true], $offsets($this->room->history(before: 7, limit: 2)));
        self::assertSame([[8, 9], false], $offsets($this->room->history(after: 7)));
        self::assertSame($stored[0]->epoch, $this->room->history()->epoch);
        $both = self::refusal(fn () => $this->room->history(after: 1, before: 5));
        self::assertSame([400, 'bad_request'], [$both->status, $both->code]);
    }

    public function testAllMessagesAreReadPageByPage(): void
    {
        for ($page = 0; $page < 3; $page++) {
            $this->room->publishAll(...array_map(static fn (int $n): Draft => new Draft($n), range(1, 70)));
        }
        $offsets = static fn (iterable $messages): array => array_map(
            static fn (Message $message): int => $message->offset,
            [...$messages],
        );
        self::assertSame(range(1, 210), $offsets($this->room->messages()));
        self::assertSame([209, 210], $offsets($this->room->messages(after: 208)));
        self::assertSame([], [...$this->room->messages(after: 210)]);
        self::assertSame([], [...Live::snug()->room(Live::newRoom())->messages()]);
    }

    public function testReadingEndsWhereTheRoomIsDeletedMeanwhile(): void
    {
        $drafts = array_map(static fn (int $n): Draft => new Draft($n), range(1, 100));
        $this->room->publishAll(...$drafts);
        $this->room->publish('on the second page');
        $messages = $this->room->messages();
        self::assertSame(1, $messages->current()->offset);
        $this->room->delete();
        $this->room->publish('of another story');
        $this->expectException(EpochChanged::class);
        iterator_to_array($messages, false);
    }

    public function testMembersAreListed(): void
    {
        self::assertCount(0, $this->room->members());
        $visitors = [
            new Visitor($this->room->name, 'bob'),
            new Visitor($this->room->name, 'ann', info: ['name' => 'Ann']),
            new Visitor($this->room->name, 'ann', info: ['name' => 'Ann']),
        ];
        $visitors[0]->send(['type' => 'state', 'id' => 1, 'data' => ['typing' => true]]);
        $visitors[0]->next('ack');
        $members = $this->room->members();
        self::assertSame([2, false], [count($members), $members->isTruncated]);
        [$ann, $bob] = [...$members];
        self::assertSame(['ann', ['name' => 'Ann'], 2, []], [$ann->user, $ann->info, $ann->connections, $ann->state]);
        self::assertSame(['bob', [], 1], [$bob->user, $bob->info, $bob->connections]);
        self::assertSame([['typing' => true]], array_values($bob->state));
        self::assertEqualsWithDelta(time() * 1000, $bob->since, 30_000);
    }

    public function testAKickClosesAndLetsIn(): void
    {
        $cho = new Visitor($this->room->name, 'cho');
        self::assertSame(1, $this->room->kick('cho', 'no spam, please'));
        self::assertSame('no spam, please', $cho->next('closing')['reason']);
        self::assertSame(4100, $cho->closeCode());
        self::assertSame(0, $this->room->kick('cho'));
        new Visitor($this->room->name, 'cho');
    }

    public function testABanKeepsOutUntilItIsLifted(): void
    {
        $user = 'O’Neil / "x"?';
        $visitor = new Visitor($this->room->name, $user);
        self::assertSame(1, $this->room->ban($user, 3600, 'schluß'));
        self::assertSame(4101, $visitor->closeCode());
        $token = Live::mint()->mint($user, ['*']);
        $knock = fn (): string => Live::knock(Live::env('SNUG_URL'), $this->room->name, $token)['code'];
        self::assertSame('banned', $knock());
        $this->room->unban($user);
        self::assertSame('upgrade_required', $knock());
    }

    public function testARoomIsToldInNumbers(): void
    {
        $status = $this->room->status();
        self::assertSame([$this->room->name, null], [$status->room, $status->epoch]);
        $stored = $this->room->publish('hello');
        $visitors = [new Visitor($this->room->name, 'ann'), new Visitor($this->room->name, 'ann')];
        $status = $this->room->status();
        self::assertSame([$stored->epoch, 1, 1], [$status->epoch, $status->offset, $status->messages]);
        self::assertSame([count($visitors), 1], [$status->connections, $status->members]);
        self::assertGreaterThan(0, $status->storageBytes);
        self::assertSame([0, 0], [$status->pendingEvents, $status->deadEvents]);
        self::assertSame([], [...$this->room->deadEvents()]);
    }

    public function testTheExamplesOfTheProtocolAreRead(): void
    {
        $vector = static fn (string $name): string => file_get_contents(__DIR__ . "/../../tests/vectors/$name.json");
        $answering = static fn (string $name) => self::answering(
            static fn (): Response => new Response(200, [], $vector($name)),
        )->room('team:7:general');

        $room = json_decode($vector('answer_room'), true);
        $status = $answering('answer_room')->status();
        self::assertSame([$room['room'], $room['epoch'], $room['offset']], [$status->room, $status->epoch, $status->offset]);
        self::assertSame($room['storage_bytes'], $status->storageBytes);
        self::assertSame(array_values($room['webhooks']), [$status->pendingEvents, $status->deadEvents]);

        $published = json_decode($vector('answer_published'), true);
        $stored = $answering('answer_published')->publishAll(new Draft(1), new Draft(2));
        self::assertSame(array_column($published['messages'], 'offset'), array_column($stored, 'offset'));
        self::assertSame($published['epoch'], $stored[0]->epoch);
    }

    public function testARoomThatIsDeletedBeginsAnew(): void
    {
        $visitor = new Visitor($this->room->name, 'ann');
        $first = $this->room->publish('hello');
        self::assertSame(1, $this->room->delete());
        self::assertSame(4104, $visitor->closeCode());
        self::assertSame([], $this->room->history()->messages);
        $second = $this->room->publish('hello again');
        self::assertSame(1, $second->offset);
        self::assertNotSame($first->epoch, $second->epoch);
    }

    public function testWhatATokenDoesNotAllowIsRefused(): void
    {
        $factory = new HttpFactory();
        $reads = fn (): string => Live::mint()->mint('ann', [$this->room->name => ['history']]);
        $snug = new Snug(Live::env('SNUG_URL'), $reads, new Client(), $factory, $factory);
        $room = $snug->room($this->room->name);
        self::assertSame([], $room->history()->messages);
        foreach ([fn () => $room->publish(1), fn () => $room->members(), fn () => $room->kick('bob')] as $attempt) {
            $problem = self::refusal($attempt);
            self::assertSame([403, 'room_forbidden', null], [$problem->status, $problem->code, $problem->retryAfter]);
        }
        self::assertSame('room_forbidden', self::refusal(fn () => $snug->room('elsewhere')->history())->code);
    }

    public function testAnotherSecretIsRefused(): void
    {
        $factory = new HttpFactory();
        $mint = new TokenMint(str_repeat('another', 7));
        $snug = new Snug(Live::env('SNUG_URL'), $mint, new Client(), $factory, $factory);
        $problem = self::refusal(fn () => $snug->room('lobby')->status());
        self::assertSame([401, 'token_invalid'], [$problem->status, $problem->code]);
        self::assertNotSame('', $problem->detail);
    }

    public function testWhoIsTooFastIsToldWhenToComeAgain(): void
    {
        $snug = self::answering(static fn (): Response => new Response(
            429,
            ['Content-Type' => 'application/problem+json', 'Retry-After' => '2'],
            '{"type":"about:blank","title":"…","status":429,"detail":"too many messages","code":"rate_limited"}',
        ));
        $problem = self::refusal(fn () => $snug->room('lobby')->publish('hello'));
        self::assertSame(['rate_limited', 'too many messages', 2], [$problem->code, $problem->detail, $problem->retryAfter]);
    }

    public function testAServerThatIsNotThereIsUnreachable(): void
    {
        $factory = new HttpFactory();
        // The port of "discard" (RFC 863), at which nothing listens.
        $snug = new Snug('http://127.0.0.1:9', Live::mint(), new Client(), $factory, $factory);
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessage("http://127.0.0.1:9 can't be reached");
        $snug->room('lobby')->status();
    }

    /** @dataProvider foreignAnswers */
    public function testAnAnswerThatIsNotSnugsIsNone(int $status, string $body): void
    {
        $this->expectException(Unreachable::class);
        $this->expectExceptionMessage("https://chat.example.com answered $status");
        self::answering(static fn (): Response => new Response($status, [], $body))->room('lobby')->status();
    }

    public static function foreignAnswers(): iterable
    {
        yield 'a page of a proxy' => [502, '<html>'];
        yield 'a page of the right status' => [200, '<html>'];
        yield 'nothing' => [204, ''];
        yield 'JSON of somebody else' => [404, '{"error":"not found"}'];
        yield 'a redirect' => [302, '{}'];
        yield 'a word' => [200, '"ok"'];
    }

    public function testNamesAreEncodedAndTheTokenIsInTheHeaderAlone(): void
    {
        $snug = self::answering(static function (RequestInterface $request): Response {
            self::assertSame(
                'https://chat.example.com/v1/rooms/team%3A7/members/a%2Fb%20c%3F?reason=x%26y%20z',
                (string) $request->getUri(),
            );
            self::assertMatchesRegularExpression('/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/', $request->getHeaderLine('Authorization'));
            return new Response(200, [], '{"closed":0}');
        });
        self::assertSame(0, $snug->room('team:7')->kick('a/b c?', 'x&y z'));
    }

    /** @dataProvider noNames */
    public function testNamesThatWouldLeadElsewhereAreErrorsAtOnce(string $name): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->room->kick($name);
    }

    /** @dataProvider noNames */
    public function testRoomsThatWouldLeadElsewhereAreErrorsAtOnce(string $name): void
    {
        $this->expectException(InvalidArgumentException::class);
        Live::snug()->room($name);
    }

    public static function noNames(): iterable
    {
        yield 'nothing' => [''];
        yield 'a dot' => ['.'];
        yield 'two dots' => ['..'];
    }
}
