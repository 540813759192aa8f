<?php

declare(strict_types=1);

namespace Snug\Laravel\Testing;

use Closure;
use GuzzleHttp\Psr7\Response;
use PHPUnit\Framework\Assert;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestInterface;
use Psr\Http\Message\ResponseInterface;
use Snug\Json;
use Snug\Laravel\ChannelName;
use Snug\Laravel\EventName;
use Snug\Message;

/**
 * A Worker in memory, for the tests of an application. Get it from `Snug::fake()`.
 *
 * Published messages are stored and returned as history; kicks and bans are recorded, but not enforced. Room names are
 * checked, but tokens and limits are not. Nothing is sent to browsers.
 */
final class SnugFake implements ClientInterface
{
    private const EPOCH = 'fake';

    /** @var array<string, list<array<string, mixed>>> Stored messages by room, and changes, which have `of`. */
    private array $messages = [];

    /** @var array<string, array<string, array<string, mixed>>> Members by room and user. */
    private array $members = [];

    /** @var array<string, array<string, mixed>> Problems by room. */
    private array $refusals = [];

    /** @var list<array{room: string, user: string, query: array<string, string>}> */
    private array $removals = [];

    /** @var array<string, array<string, int>> Offsets by room, and by author and key. */
    private array $keys = [];

    /**
     * Makes a user a member of a channel.
     *
     * @param array<string, mixed> $info
     */
    public function withMember(string|object $channel, int|string $user, array $info = []): self
    {
        $this->members[self::roomOf($channel)][(string) $user] = [
            'user' => (string) $user,
            'info' => (object) $info,
            'since' => self::now(),
            'connections' => 1,
            'state' => (object) [],
        ];
        return $this;
    }

    /** Makes a channel refuse everything, as an overloaded room does. */
    public function withRefusal(string|object $channel, int $status = 503, string $code = 'overloaded'): self
    {
        $problem = ['status' => $status, 'code' => $code, 'detail' => 'refused by Snug::fake()'];
        $this->refusals[self::roomOf($channel)] = $problem;
        return $this;
    }

    /**
     * Returns the messages of a channel, oldest first.
     *
     * @return list<Message>
     */
    public function published(string|object $channel, ?string $event = null): array
    {
        $messages = array_map(Message::from(...), array_values($this->messagesOf(self::roomOf($channel))));
        $isNamed = static fn (Message $message): bool => $message->event === EventName::shorten((string) $event);
        return $event === null ? $messages : array_values(array_filter($messages, $isNamed));
    }

    /**
     * Asserts that a message was published to a channel.
     *
     * @param string|object               $channel The full name, such as `private-orders.1`, or a channel of Laravel.
     * @param string|null                 $event   The event's name: its class, or what `broadcastAs` returns.
     * @param (Closure(Message): bool)|null $matches Returns true for the message that you expect.
     */
    public function assertPublished(string|object $channel, ?string $event = null, ?Closure $matches = null): void
    {
        Assert::assertNotEmpty(
            $this->matching($channel, $event, $matches),
            'The expected ' . self::describe($channel, $event) . ' was not published.',
        );
    }

    /**
     * Asserts that no message was published to a channel.
     *
     * @param (Closure(Message): bool)|null $matches
     */
    public function assertNotPublished(string|object $channel, ?string $event = null, ?Closure $matches = null): void
    {
        Assert::assertEmpty(
            $this->matching($channel, $event, $matches),
            'An unexpected ' . self::describe($channel, $event) . ' was published.',
        );
    }

    /** Asserts that nothing was published to any room. */
    public function assertNothingPublished(): void
    {
        $rooms = array_keys(array_filter($this->messages));
        Assert::assertSame([], $rooms, 'Messages were published to: ' . implode(', ', $rooms));
    }

    /** Asserts that a user's connections were closed, without a ban. */
    public function assertKicked(string|object $channel, int|string $user): void
    {
        $isKick = static fn (array $query): bool => !isset($query['ban_seconds']);
        $this->assertRemoved($channel, $user, $isKick, 'kicked');
    }

    /** Asserts that a user was banned. */
    public function assertBanned(string|object $channel, int|string $user): void
    {
        $isBan = static fn (array $query): bool =>
            ($query['ban_seconds'] ?? '0') !== '0' && !isset($query['issued_before']);
        $this->assertRemoved($channel, $user, $isBan, 'banned');
    }

    public function sendRequest(RequestInterface $request): ResponseInterface
    {
        $path = array_map(rawurldecode(...), explode('/', $request->getUri()->getPath()));
        parse_str($request->getUri()->getQuery(), $query);
        $body = (string) $request->getBody();
        $json = $body === '' ? null : Json::decode($body);
        $author = self::authorOf($request);
        // The path is /v1/publish or /v1/rooms/{room}/….
        $start = array_search('v1', $path, true);
        $path = array_slice($path, $start === false ? 0 : $start + 1);
        $room = $path[1] ?? '';
        if ($path[0] === 'publish') {
            $publish = fn (string $room): array => $this->result($room, $json['messages'], $author);
            return self::respond(['results' => array_map($publish, $json['rooms'])]);
        }
        $problem = $this->problemOf($room);
        if ($problem !== null) {
            return self::respond($problem, $problem['status']);
        }
        return match ($request->getMethod() . ' ' . implode('/', array_slice($path, 2, 1))) {
            'POST messages' => $this->publish($room, $json, $author),
            'GET messages' => self::respond($this->page($room, $query)),
            'GET members' => self::respond($this->list($room)),
            'GET webhooks' => self::respond(['events' => [], 'more' => false]),
            'GET ' => self::respond($this->status($room)),
            'DELETE members' => self::respond($this->remove($room, $path[3] ?? '', $query)),
            'DELETE ' => self::respond($this->erase($room)),
            default => self::respond(['status' => 404, 'code' => 'not_found', 'detail' => 'not in the fake'], 404),
        };
    }

    private function publish(string $room, mixed $messages, string $author): ResponseInterface
    {
        $problem = $this->threadProblemOf($room, $messages);
        return $problem === null
            ? self::respond($this->store($room, $messages, $author))
            : self::respond($problem, $problem['status']);
    }

    /** @return array<string, mixed> */
    private function result(string $room, mixed $messages, string $author): array
    {
        $problem = $this->problemOf($room) ?? $this->threadProblemOf($room, $messages);
        return ['room' => $room] + ($problem ? ['error' => $problem] : $this->store($room, $messages, $author));
    }

    /** @return array<string, mixed>|null */
    private function problemOf(string $room): ?array
    {
        if (preg_match('/^[A-Za-z0-9_.:@~-]{1,128}$/D', $room) !== 1 || $room === '.' || $room === '..') {
            return ['status' => 400, 'code' => 'bad_room', 'detail' => "'$room' is not a room name"];
        }
        return $this->refusals[$room] ?? null;
    }

    /** @return array<string, mixed>|null */
    private function threadProblemOf(string $room, mixed $messages): ?array
    {
        $stored = $this->messagesOf($room);
        foreach (array_is_list($messages) ? $messages : [$messages] as $message) {
            if (isset($message['re']) && !isset($stored[$message['re']])) {
                return ['status' => 404, 'code' => 'not_found', 'detail' => 'the room has no such message'];
            }
        }
        return null;
    }

    /** @return array<int, array<string, mixed>> The stored messages by offset, each with the number of its replies. */
    private function messagesOf(string $room): array
    {
        $messages = [];
        foreach ($this->messages[$room] ?? [] as $entry) {
            if (isset($entry['of'])) {
                continue;
            }
            $messages[$entry['offset']] = $entry;
            $root = $entry['re'] ?? null;
            if ($root !== null) {
                $messages[$root]['replies'] = ($messages[$root]['replies'] ?? 0) + 1;
                $messages[$root]['last_reply'] = $entry['offset'];
            }
        }
        return $messages;
    }

    /** @return array<string, mixed> */
    private function store(string $room, mixed $messages, string $author): array
    {
        $stored = [];
        $counted = [];
        foreach (array_is_list($messages) ? $messages : [$messages] as $message) {
            $user = $message['user'] ?? $author;
            $key = isset($message['key']) ? "$user {$message['key']}" : null;
            $known = $key === null ? null : ($this->keys[$room][$key] ?? null);
            if ($known !== null) {
                $time = $this->messagesOf($room)[$known]['time'];
                $stored[] = ['offset' => $known, 'time' => $time, 'duplicate' => true];
                continue;
            }
            $offset = count($this->messages[$room] ?? []) + 1;
            $time = $message['time'] ?? self::now();
            $re = $message['re'] ?? null;
            // A reply to a reply belongs to the same thread.
            $root = $re === null ? null : ($this->messagesOf($room)[$re]['re'] ?? $re);
            $this->messages[$room][] = array_filter(
                [
                    'offset' => $offset,
                    'time' => $time,
                    'user' => $user,
                    'event' => $message['event'] ?? null,
                    're' => $root,
                ],
                static fn (mixed $field): bool => $field !== null,
            ) + ['data' => $message['data']];
            // One change of the number of replies counts all that are stored together.
            if ($root !== null && !isset($counted[$root])) {
                $counted[$root] = true;
                $this->messages[$room][] = ['offset' => $offset + 1, 'of' => $root];
            }
            if ($key !== null) {
                $this->keys[$room][$key] = $offset;
            }
            $stored[] = ['offset' => $offset, 'time' => $time];
        }
        return ['epoch' => self::EPOCH, 'messages' => $stored];
    }

    /**
     * @param array<string, string> $query
     * @return array<string, mixed>
     */
    private function page(string $room, array $query): array
    {
        $messages = $this->messagesOf($room);
        $all = array_map(
            static fn (array $entry): array => $messages[$entry['offset']] ?? $entry,
            $this->messages[$room] ?? [],
        );
        $isInThread = static fn (array $entry): bool =>
            !isset($query['re']) || ($entry['re'] ?? null) === (int) $query['re'];
        $limit = (int) ($query['limit'] ?? 50);
        $isBetween = static fn (array $message): bool => $message['offset'] > (int) ($query['after'] ?? 0)
            && $message['offset'] < (int) ($query['before'] ?? PHP_INT_MAX)
            && $isInThread($message);
        $matching = array_values(array_filter($all, $isBetween));
        $page = isset($query['after']) ? array_slice($matching, 0, $limit) : array_slice($matching, -$limit);
        return [
            'epoch' => $all === [] ? null : self::EPOCH,
            'messages' => $page,
            'more' => count($page) < count($matching),
        ];
    }

    /** @return array<string, mixed> */
    private function list(string $room): array
    {
        $members = $this->members[$room] ?? [];
        ksort($members, SORT_STRING);
        return ['count' => count($members), 'members' => array_values($members), 'truncated' => false];
    }

    /** @return array<string, mixed> */
    private function status(string $room): array
    {
        $messages = $this->messages[$room] ?? [];
        $members = count($this->members[$room] ?? []);
        return [
            'room' => $room,
            'epoch' => $messages === [] ? null : self::EPOCH,
            'offset' => count($messages),
            'connections' => $members,
            'members' => $members,
            'messages' => count($messages),
            'storage_bytes' => 0,
            'webhooks' => ['pending' => 0, 'dead' => 0],
        ];
    }

    /**
     * @param array<string, string> $query
     * @return array{closed: int}
     */
    private function remove(string $room, string $user, array $query): array
    {
        $this->removals[] = ['room' => $room, 'user' => $user, 'query' => $query];
        $closed = $this->members[$room][$user]['connections'] ?? 0;
        unset($this->members[$room][$user]);
        return ['closed' => $closed];
    }

    /** @return array{closed: int} */
    private function erase(string $room): array
    {
        $closed = count($this->members[$room] ?? []);
        unset($this->messages[$room], $this->keys[$room], $this->members[$room]);
        return ['closed' => $closed];
    }

    /** @return list<Message> */
    private function matching(string|object $channel, ?string $event, ?Closure $matches): array
    {
        $published = $this->published($channel, $event);
        return $matches === null ? $published : array_values(array_filter($published, $matches));
    }

    /** @param Closure(array<string, string>): bool $matches */
    private function assertRemoved(string|object $channel, int|string $user, Closure $matches, string $verb): void
    {
        $room = self::roomOf($channel);
        $isRemoval = static fn (array $removal): bool =>
            $removal['room'] === $room && $removal['user'] === (string) $user && $matches($removal['query']);
        Assert::assertNotEmpty(array_filter($this->removals, $isRemoval), "The user $user was not $verb in $room.");
    }

    private static function describe(string|object $channel, ?string $event): string
    {
        return ($event === null ? 'message' : "event '$event'") . ' on the channel ' . $channel;
    }

    private static function roomOf(string|object $channel): string
    {
        return ChannelName::toRoom((string) $channel);
    }

    /** @param array<string, mixed> $body */
    private static function respond(array $body, int $status = 200): ResponseInterface
    {
        return new Response($status, ['Content-Type' => 'application/json'], Json::encode($body));
    }

    /** Returns the user of the request's token: the author of messages that name no other one. */
    private static function authorOf(RequestInterface $request): string
    {
        $claims = explode('.', $request->getHeaderLine('Authorization'))[1] ?? '';
        return Json::decode(base64_decode(strtr($claims, '-_', '+/')))['sub'];
    }

    private static function now(): int
    {
        return (int) (microtime(true) * 1000);
    }
}
