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
use Snug\NewMessage;
use Snug\EpochChangedException;
use Snug\Message;
use Snug\Problem;
use Snug\Reaction;
use Snug\RequestRefusedException;
use Snug\Room;
use Snug\Snug;
use Snug\TokenIssuer;
use Snug\UnreachableException;

/** Tests the HTTP client against the built Worker, with real WebSocket connections. */
final class SnugTest extends TestCase
{
    private Room $room;

    protected function setUp(): void
    {
        $this->room = LiveWorker::snug()->room(LiveWorker::newRoom());
    }

    private static function refusal(\Closure $attempt): Problem
    {
        try {
            $attempt();
        } catch (RequestRefusedException $refused) {
            self::assertSame($refused->problem->status, $refused->getCode());
            self::assertStringContainsString($refused->problem->code, $refused->getMessage());
            return $refused->problem;
        }
        self::fail('the request was not refused');
    }

    /** Returns a client whose requests are answered by a function instead of a Worker. */
    private static function withResponses(\Closure $respond): Snug
    {
        $http = new class ($respond) implements ClientInterface {
            public function __construct(private \Closure $respond)
            {
            }

            public function sendRequest(RequestInterface $request): ResponseInterface
            {
                return ($this->respond)($request);
            }
        };
        $factory = new HttpFactory();
        return new Snug('https://chat.example.com/', LiveWorker::tokens(), $http, $factory, $factory);
    }

    public function testPublishStoresAndSendsAMessage(): void
    {
        $ann = new TestConnection($this->room->name, 'ann');
        $before = time();
        $stored = $this->room->publish(['text' => 'Größe/👋', 'price' => 1.0], event: 'notice');
        self::assertSame([1, false], [$stored->offset, $stored->isDuplicate]);
        self::assertNotSame('', $stored->epoch);
        self::assertEqualsWithDelta($before * 1000, $stored->time, 30_000);
        $received = $ann->next('message');
        self::assertSame(
            ['server', 'notice', ['text' => 'Größe/👋', 'price' => 1.0], 1],
            [$received['user'], $received['event'], $received['data'], $received['offset']],
        );
    }

    public function testMessagesArePublishedAgainAsTheyWereRead(): void
    {
        $ann = new TestConnection($this->room->name, 'ann');
        $ann->send(['type' => 'publish', 'id' => 1, 'data' => ['style' => new \stdClass(), 'tags' => []]]);
        $ann->next('message');
        $this->room->publish($this->room->history()->messages[0]->data);
        self::assertSame('{"style":{},"tags":[]}', json_encode($this->room->history()->messages[1]->data));
    }

    public function testMessagesUseTheRequestedAuthor(): void
    {
        $this->room->publish('by the default author');
        $this->room->publish('by another author', user: 42);
        LiveWorker::snug('bot')->room($this->room->name)->publish('by the bot');
        self::assertSame(['server', '42', 'bot'], array_column($this->room->history()->messages, 'user'));
    }

    public function testMessagesKeepTheirTimes(): void
    {
        $first = (time() - 86_400) * 1000;
        $stored = $this->room->publishAll(new NewMessage('one', time: $first), new NewMessage('two', time: $first + 5));
        self::assertSame([$first, $first + 5], array_column($stored, 'time'));
        self::assertSame($first + 6, $this->room->publish('three', time: $first + 6)->time);
        self::assertSame([$first, $first + 5, $first + 6], array_column($this->room->history()->messages, 'time'));
        $early = self::refusal(fn () => $this->room->publish('four', time: $first));
        self::assertSame([400, 'bad_request'], [$early->status, $early->code]);
        self::assertStringContainsString("'time' is $first", $early->detail);
    }

    public function testAKeyedMessageIsStoredOnce(): void
    {
        $first = $this->room->publish('paid', key: 'order-7');
        $again = $this->room->publish('paid', key: 'order-7');
        self::assertSame([false, true], [$first->isDuplicate, $again->isDuplicate]);
        self::assertSame([$first->epoch, $first->offset], [$again->epoch, $again->offset]);
        self::assertCount(1, $this->room->history()->messages);
    }

    public function testPublishAllStoresMessagesInOrder(): void
    {
        $stored = $this->room->publishAll(
            new NewMessage('one', key: 'k'),
            new NewMessage('two', user: 'ann', event: 'chat'),
            new NewMessage(null),
        );
        self::assertSame([1, 2, 3], array_column($stored, 'offset'));
        $messages = $this->room->history()->messages;
        self::assertSame(['one', 'two', null], array_column($messages, 'data'));
        self::assertSame(['server', 'ann', 'server'], array_column($messages, 'user'));
        self::assertSame([null, 'chat', null], array_column($messages, 'event'));
        self::assertSame([null, null, null], array_column($messages, 'connection'));
    }

    public function testPublishAllAcceptsAtMost100Messages(): void
    {
        $messages = array_map(static fn (int $n): NewMessage => new NewMessage($n), range(1, 101));
        self::assertSame('bad_request', self::refusal(fn () => $this->room->publishAll(...$messages))->code);
        array_pop($messages);
        self::assertCount(100, $this->room->publishAll(...$messages));
    }

    public function testPublishToReturnsAResultForEachRoom(): void
    {
        [$one, $two] = [LiveWorker::newRoom(), LiveWorker::newRoom()];
        $messages = [new NewMessage('hello'), new NewMessage('again')];
        $results = LiveWorker::snug()->publishTo([$one, 'no room', $two], ...$messages);
        self::assertSame([$one, 'no room', $two], array_column($results, 'room'));
        self::assertSame([2, 0, 2], array_map(static fn ($result): int => count($result->messages), $results));
        self::assertSame([null, null], [$results[0]->problem, $results[2]->problem]);
        self::assertSame([400, 'bad_room'], [$results[1]->problem->status, $results[1]->problem->code]);
        self::assertSame(['hello', 'again'], array_column(LiveWorker::snug()->room($two)->history()->messages, 'data'));
    }

    public function testHistoryPagesForwardAndBackward(): void
    {
        self::assertNull($this->room->history()->epoch);
        self::assertSame([], $this->room->history()->messages);
        $messages = array_map(static fn (int $n): NewMessage => new NewMessage($n), range(1, 9));
        $stored = $this->room->publishAll(...$messages);
        $offsets = static fn ($page): array => [array_column($page->messages, 'offset'), $page->hasMore];
        self::assertSame([[8, 9], true], $offsets($this->room->history(limit: 2)));
        self::assertSame([[5, 6], true], $offsets($this->room->history(before: 7, limit: 2)));
        self::assertSame([[8, 9], false], $offsets($this->room->history(after: 7)));
        self::assertSame($stored[0]->epoch, $this->room->history()->epoch);
        $both = self::refusal(fn () => $this->room->history(after: 1, before: 5));
        self::assertSame([400, 'bad_request'], [$both->status, $both->code]);
    }

    public function testMessagesAreEditedAppendedToAndDeleted(): void
    {
        $this->room->publishAll(new NewMessage(['text' => 'one']), new NewMessage('two'), new NewMessage(3));
        $edited = $this->room->edit(1, ['text' => 'first'], user: 42, ifVersion: 1);
        self::assertSame([4, 2, false], [$edited->offset, $edited->version, $edited->isDuplicate]);
        $conflict = self::refusal(fn () => $this->room->edit(1, null, ifVersion: 1));
        self::assertSame([412, 'conflict', 2], [$conflict->status, $conflict->code, $conflict->version]);
        $this->room->append(1, '!', key: 'k');
        $again = $this->room->append(1, '!', key: 'k');
        self::assertSame([5, null, true], [$again->offset, $again->version, $again->isDuplicate]);
        self::assertSame('not_appendable', self::refusal(fn () => $this->room->append(3, '!'))->code);
        $this->room->deleteMessage(2, 'spam', user: 'moderator');
        self::assertSame('not_found', self::refusal(fn () => $this->room->deleteMessage(2))->code);
        $page = $this->room->history();
        self::assertSame([1, 6], [$page->firstOffset, $page->lastOffset]);
        self::assertSame([['text' => 'first!'], null, 3], array_column($page->messages, 'data'));
        self::assertSame([3, 2, 1], array_column($page->messages, 'version'));
        self::assertSame([false, true, false], array_column($page->messages, 'isDeleted'));
        self::assertSame([1, 2, 3], array_column([...$this->room->messages()], 'offset'));
        self::assertSame([], $this->room->history(after: 3)->messages);
    }

    public function testAUsersMessagesAreReadAndDeleted(): void
    {
        self::assertSame(0, $this->room->deleteMessagesOf('ann'));
        self::assertSame([], [...$this->room->messages(user: 'ann')]);
        for ($page = 0; $page < 2; $page++) {
            $this->room->publish('between', user: 'bob');
            $this->room->publishAll(...array_map(
                static fn (int $n): NewMessage => new NewMessage($n, user: 42),
                range(1, 60),
            ));
        }
        self::assertSame([...range(1, 60), ...range(1, 60)], array_column([...$this->room->messages(user: 42)], 'data'));
        $page = $this->room->history(limit: 60, user: 42);
        self::assertSame([range(63, 122), true], [array_column($page->messages, 'offset'), $page->hasMore]);
        $older = $this->room->history(before: $page->firstOffset, user: 42);
        self::assertSame([range(12, 61), true], [array_column($older->messages, 'offset'), $older->hasMore]);
        $newer = $this->room->history(after: $older->lastOffset, limit: 1, user: 42);
        self::assertSame([63], array_column($newer->messages, 'offset'));

        $ann = new TestConnection($this->room->name, 'ann');
        self::assertSame(120, $this->room->deleteMessagesOf(42, 'left'));
        $change = $ann->next('change');
        self::assertSame(['delete', 'left', 'server'], [$change['action'], $change['reason'], $change['user']]);
        $messages = [...$this->room->messages(user: 42)];
        self::assertCount(120, $messages);
        self::assertSame([true], array_values(array_unique(array_column($messages, 'isDeleted'))));
        self::assertSame([false, false], array_column([...$this->room->messages(user: 'bob')], 'isDeleted'));
        self::assertSame(0, $this->room->deleteMessagesOf(42));
        self::assertSame('bad_request', self::refusal(fn () => $this->room->deleteMessagesOf(''))->code);
        self::assertSame('bad_request', self::refusal(fn () => $this->room->history(re: 1, user: 42))->code);
    }

    public function testRepliesAreReadAsAThread(): void
    {
        $ann = new TestConnection($this->room->name, 'ann', info: ['name' => 'Ann']);
        $ann->send(['type' => 'publish', 'data' => 'question']);
        $ann->next('message');
        $this->room->publishAll(new NewMessage('one', re: 1), new NewMessage('two', re: 1, user: 'bob'));
        $this->room->publish('elsewhere');
        // A reply to a reply belongs to the same thread.
        $last = $this->room->publish('three', re: 2);
        foreach (['👍', '7'] as $name) {
            $ann->send(['type' => 'react', 'id' => 1, 'of' => 1, 'name' => $name]);
            $ann->next('reactions');
        }
        [$question, $one] = $this->room->history()->messages;
        self::assertSame([['name' => 'Ann'], null], [$question->info, $question->re]);
        self::assertSame([3, $last->offset], [$question->replies, $question->lastReply]);
        self::assertSame([['👍', 1, ['ann']], ['7', 1, ['ann']]], array_map(
            static fn (Reaction $reaction): array => [$reaction->name, $reaction->count, $reaction->users],
            $question->reactions,
        ));
        self::assertSame([[], 1, 0, null, []], [
            $one->info,
            $one->re,
            $one->replies,
            $one->lastReply,
            $one->reactions,
        ]);
        self::assertSame(['one', 'two', 'three'], array_column([...$this->room->messages(re: 1)], 'data'));
        self::assertSame(['three'], array_column([...$this->room->messages(after: $one->offset + 3, re: 1)], 'data'));
        $page = $this->room->history(limit: 2, re: 1);
        self::assertSame([['two', 'three'], true], [array_column($page->messages, 'data'), $page->hasMore]);
        $older = $this->room->history(before: $page->firstOffset, re: 1);
        self::assertSame([['one'], false], [array_column($older->messages, 'data'), $older->hasMore]);
        self::assertSame('not_found', self::refusal(fn () => $this->room->publish('four', re: 99))->code);
    }

    public function testMessagesMentionUsers(): void
    {
        $this->room->publish('hello', mentions: ['ann', 42, 'ann']);
        $this->room->publishAll(new NewMessage('plain'), new NewMessage('again', mentions: ['bob']));
        $mentions = array_column($this->room->history()->messages, 'mentions');
        self::assertSame([['ann', '42'], [], ['bob']], $mentions);
        $many = static fn (int $count): array => array_map(static fn (int $n): string => "user$n", range(1, $count));
        $this->room->publish('to many', mentions: $many(32));
        $refusal = self::refusal(fn () => $this->room->publish('to too many', mentions: $many(33)));
        self::assertSame([400, 'bad_request'], [$refusal->status, $refusal->code]);
    }

    public function testMessagesReadsAllPages(): void
    {
        for ($page = 0; $page < 3; $page++) {
            $this->room->publishAll(...array_map(static fn (int $n): NewMessage => new NewMessage($n), range(1, 70)));
        }
        $offsets = static fn (iterable $messages): array => array_map(
            static fn (Message $message): int => $message->offset,
            [...$messages],
        );
        self::assertSame(range(1, 210), $offsets($this->room->messages()));
        self::assertSame([209, 210], $offsets($this->room->messages(after: 208)));
        self::assertSame([], [...$this->room->messages(after: 210)]);
        self::assertSame([], [...LiveWorker::snug()->room(LiveWorker::newRoom())->messages()]);
    }

    public function testMessagesThrowsIfTheRoomIsDeleted(): void
    {
        $messages = array_map(static fn (int $n): NewMessage => new NewMessage($n), range(1, 100));
        $this->room->publishAll(...$messages);
        $this->room->publish('on the second page');
        $reading = $this->room->messages();
        self::assertSame(1, $reading->current()->offset);
        $this->room->delete();
        $this->room->publish('in the new epoch');
        $this->expectException(EpochChangedException::class);
        iterator_to_array($reading, false);
    }

    public function testMembersListsEachUserOnce(): void
    {
        self::assertCount(0, $this->room->members());
        $connections = [
            new TestConnection($this->room->name, 'bob'),
            new TestConnection($this->room->name, 'ann', info: ['name' => 'Ann']),
            new TestConnection($this->room->name, 'ann', info: ['name' => 'Ann']),
        ];
        $connections[0]->send(['type' => 'state', 'id' => 1, 'data' => ['typing' => true]]);
        $connections[0]->next('ack');
        $members = $this->room->members();
        self::assertSame([2, false], [count($members), $members->isTruncated]);
        [$ann, $bob] = [...$members];
        self::assertSame(['ann', ['name' => 'Ann'], 2, []], [$ann->user, $ann->info, $ann->connections, $ann->state]);
        self::assertSame(['bob', [], 1], [$bob->user, $bob->info, $bob->connections]);
        self::assertSame([['typing' => true]], array_values($bob->state));
        self::assertEqualsWithDelta(time() * 1000, $bob->since, 30_000);
    }

    public function testAKickedUserCanJoinAgain(): void
    {
        $cho = new TestConnection($this->room->name, 'cho');
        self::assertSame(1, $this->room->kick('cho', 'no spam, please'));
        self::assertSame('no spam, please', $cho->next('closing')['reason']);
        self::assertSame(4100, $cho->closeCode());
        self::assertSame(0, $this->room->kick('cho'));
        new TestConnection($this->room->name, 'cho');
    }

    public function testABannedUserCannotJoinUntilUnbanned(): void
    {
        $user = 'O’Neil / "x"?';
        $connection = new TestConnection($this->room->name, $user);
        self::assertSame(1, $this->room->ban($user, 3600, 'schluß'));
        self::assertSame(4101, $connection->closeCode());
        $token = LiveWorker::tokens()->mint($user, ['*']);
        $code = fn (): string => LiveWorker::tryToken(LiveWorker::env('SNUG_URL'), $this->room->name, $token);
        self::assertSame('banned', $code());
        $this->room->unban($user);
        self::assertSame('upgrade_required', $code());
    }

    public function testAUserWhoSignsOutCanSignInAgainWhileTheEarlierTokenStaysOut(): void
    {
        $name = $this->room->name;
        $code = fn (string $token): string => LiveWorker::tryToken(LiveWorker::env('SNUG_URL'), $name, $token);
        $tokens = LiveWorker::tokens();
        $earlier = $tokens->mint('cho', ['*']);
        $cho = new TestConnection($name, 'cho');
        $signedOut = microtime(true) + 0.001;
        self::assertSame(1, $this->room->endTokens('cho', 3600, $signedOut));
        self::assertSame(4001, $cho->closeCode());
        self::assertSame('token_expired', $code($earlier));
        while (microtime(true) < $signedOut + 0.001) {
            usleep(100);
        }
        self::assertSame('upgrade_required', $code($tokens->mint('cho', ['*'])));
        self::assertSame(0, $this->room->endTokens('dan', 3600));
    }

    public function testStatusReturnsCounters(): void
    {
        $status = $this->room->status();
        self::assertSame([$this->room->name, null], [$status->room, $status->epoch]);
        $stored = $this->room->publish('hello');
        $connections = [new TestConnection($this->room->name, 'ann'), new TestConnection($this->room->name, 'ann')];
        $status = $this->room->status();
        self::assertSame([$stored->epoch, 1, 1], [$status->epoch, $status->offset, $status->messages]);
        self::assertSame([count($connections), 1], [$status->connections, $status->members]);
        self::assertGreaterThan(0, $status->storageBytes);
        self::assertSame([0, 0], [$status->pendingEvents, $status->deadEvents]);
        self::assertSame([], [...$this->room->deadEvents()]);
    }

    public function testDecodesTheResponsesInTheProtocol(): void
    {
        $vector = static fn (string $name): string => file_get_contents(__DIR__ . "/../../tests/vectors/$name.json");
        $responding = static fn (string $name) => self::withResponses(
            static fn (): Response => new Response(200, [], $vector($name)),
        )->room('team:7:general');

        $room = json_decode($vector('http_room_response'), true);
        $status = $responding('http_room_response')->status();
        self::assertSame(
            [$room['room'], $room['epoch'], $room['offset']],
            [$status->room, $status->epoch, $status->offset],
        );
        self::assertSame($room['storage_bytes'], $status->storageBytes);
        self::assertSame(array_values($room['webhooks']), [$status->pendingEvents, $status->deadEvents]);

        $published = json_decode($vector('http_publish_response'), true);
        $stored = $responding('http_publish_response')->publishAll(new NewMessage(1), new NewMessage(2));
        self::assertSame(array_column($published['messages'], 'offset'), array_column($stored, 'offset'));
        self::assertSame($published['epoch'], $stored[0]->epoch);
    }

    public function testADeletedRoomStartsANewEpoch(): void
    {
        $connection = new TestConnection($this->room->name, 'ann');
        $first = $this->room->publish('hello');
        self::assertSame(1, $this->room->delete());
        self::assertSame(4104, $connection->closeCode());
        self::assertSame([], $this->room->history()->messages);
        $second = $this->room->publish('hello again');
        self::assertSame(1, $second->offset);
        self::assertNotSame($first->epoch, $second->epoch);
    }

    public function testRequestsWithoutTheCapabilityAreRefused(): void
    {
        $factory = new HttpFactory();
        $historyOnly = fn (): string => LiveWorker::tokens()->mint('ann', [$this->room->name => ['history']]);
        $snug = new Snug(LiveWorker::env('SNUG_URL'), $historyOnly, new Client(), $factory, $factory);
        $room = $snug->room($this->room->name);
        self::assertSame([], $room->history()->messages);
        foreach ([fn () => $room->publish(1), fn () => $room->members(), fn () => $room->kick('bob')] as $attempt) {
            $problem = self::refusal($attempt);
            self::assertSame([403, 'room_forbidden', null], [$problem->status, $problem->code, $problem->retryAfter]);
        }
        self::assertSame('room_forbidden', self::refusal(fn () => $snug->room('elsewhere')->history())->code);
    }

    public function testTokensSignedWithAnotherSecretAreRefused(): void
    {
        $factory = new HttpFactory();
        $tokens = new TokenIssuer(str_repeat('another', 7));
        $snug = new Snug(LiveWorker::env('SNUG_URL'), $tokens, new Client(), $factory, $factory);
        $problem = self::refusal(fn () => $snug->room('lobby')->status());
        self::assertSame([401, 'token_invalid'], [$problem->status, $problem->code]);
        self::assertNotSame('', $problem->detail);
        self::assertMatchesRegularExpression('/^[0-9a-z]{8}$/', (string) $problem->ref);
    }

    public function testRateLimitedRequestsReportRetryAfter(): void
    {
        $snug = self::withResponses(static fn (): Response => new Response(
            429,
            ['Content-Type' => 'application/problem+json', 'Retry-After' => '2'],
            '{"type":"about:blank","title":"…","status":429,"detail":"too many messages","code":"rate_limited"}',
        ));
        $problem = self::refusal(fn () => $snug->room('lobby')->publish('hello'));
        self::assertSame(
            ['rate_limited', 'too many messages', 2],
            [$problem->code, $problem->detail, $problem->retryAfter],
        );
    }

    public function testThrowsIfNothingListens(): void
    {
        $factory = new HttpFactory();
        // Port 9, "discard" (RFC 863): nothing listens there.
        $snug = new Snug('http://127.0.0.1:9', LiveWorker::tokens(), new Client(), $factory, $factory);
        $this->expectException(UnreachableException::class);
        $this->expectExceptionMessage("http://127.0.0.1:9 cannot be reached");
        $snug->room('lobby')->status();
    }

    /** @dataProvider foreignResponses */
    public function testThrowsOnResponsesThatAreNotFromSnug(int $status, string $body): void
    {
        $this->expectException(UnreachableException::class);
        $this->expectExceptionMessage("https://chat.example.com returned status $status");
        self::withResponses(static fn (): Response => new Response($status, [], $body))->room('lobby')->status();
    }

    public static function foreignResponses(): iterable
    {
        yield 'a proxy error page' => [502, '<html>'];
        yield 'an HTML page with status 200' => [200, '<html>'];
        yield 'an empty body' => [204, ''];
        yield 'JSON in another format' => [404, '{"error":"not found"}'];
        yield 'a redirect' => [302, '{}'];
        yield 'a JSON string' => [200, '"ok"'];
    }

    public function testEncodesNamesAndSendsTheTokenOnlyInTheHeader(): void
    {
        $snug = self::withResponses(static function (RequestInterface $request): Response {
            self::assertSame(
                'https://chat.example.com/v1/rooms/team%3A7/members/a%2Fb%20c%3F?reason=x%26y%20z',
                (string) $request->getUri(),
            );
            $authorization = $request->getHeaderLine('Authorization');
            self::assertMatchesRegularExpression('/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/', $authorization);
            return new Response(200, [], '{"closed":0}');
        });
        self::assertSame(0, $snug->room('team:7')->kick('a/b c?', 'x&y z'));
    }

    /** @dataProvider namesThatCannotBePathSegments */
    public function testRejectsUserIdsThatCannotBePathSegments(string $name): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->room->kick($name);
    }

    /** @dataProvider namesThatCannotBePathSegments */
    public function testRejectsRoomNamesThatCannotBePathSegments(string $name): void
    {
        $this->expectException(InvalidArgumentException::class);
        LiveWorker::snug()->room($name);
    }

    public static function namesThatCannotBePathSegments(): iterable
    {
        yield 'an empty name' => [''];
        yield 'a dot' => ['.'];
        yield 'two dots' => ['..'];
    }
}
