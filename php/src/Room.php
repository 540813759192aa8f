<?php

declare(strict_types=1);

namespace Snug;

use Generator;
use InvalidArgumentException;
use JsonException;

/**
 * A handle to one room. Get it from `Snug::room()`.
 *
 * Every method that sends a request throws `RequestRefusedException` if Snug refuses it, and `UnreachableException`
 * if Snug cannot be reached.
 */
final class Room
{
    private string $path;

    /**
     * @internal
     *
     * @throws InvalidArgumentException If the name is empty, `.` or `..`.
     */
    public function __construct(private ApiClient $api, public readonly string $name)
    {
        $this->path = '/v1/rooms/' . self::pathSegment($name, 'room');
    }

    /**
     * Publishes a message. When this returns, Snug has stored it. Snug also sends it to the room's connections.
     *
     * @param mixed           $data  Any value that can be encoded as JSON.
     * @param string|null     $event An event name that your application chooses, at most 64 bytes.
     * @param string|null     $key   An idempotency key of 1 to 64 bytes: Snug stores a user's message with a given key
     *                               only once.
     * @param int|string|null $user  The author's user id. Default: the `$user` of the `Snug` client.
     * @param int|null        $time  The time in Unix milliseconds, not before that of the room's newest message.
     *                               Default: now.
     * @param int|null        $re    The offset of the message to which this one is a reply.
     * @param list<int|string> $mentions The ids of the users whom the message mentions, at most 32.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws JsonException If `$data` cannot be encoded as JSON.
     */
    public function publish(
        mixed $data,
        ?string $event = null,
        ?string $key = null,
        int|string|null $user = null,
        ?int $time = null,
        ?int $re = null,
        array $mentions = [],
    ): PublishedMessage {
        return $this->publishAll(new NewMessage($data, $event, $key, $user, $time, $re, $mentions))[0];
    }

    /**
     * Publishes 1 to 100 messages in one request, atomically: if one is invalid, none is stored.
     *
     * @return list<PublishedMessage> The published messages, in the same order.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws JsonException If the data cannot be encoded as JSON.
     */
    public function publishAll(NewMessage ...$messages): array
    {
        $response = $this->api->send('POST', "$this->path/messages", [], array_values($messages));
        return PublishedMessage::listFrom($response);
    }

    /**
     * Replaces the data of a message. Its earlier data is deleted.
     *
     * @param int             $offset    The message's offset.
     * @param mixed           $data      Any value that can be encoded as JSON.
     * @param int|string|null $user      The user who makes the change. Default: the `$user` of the `Snug` client.
     * @param int|null        $ifVersion The version that the message must have. If it has another one, the code of the
     *                                   refusal is `conflict`.
     * @param string|null     $key       An idempotency key of 1 to 64 bytes: Snug makes a user's change with a given key
     *                                   only once.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws JsonException If `$data` cannot be encoded as JSON.
     */
    public function edit(
        int $offset,
        mixed $data,
        int|string|null $user = null,
        ?int $ifVersion = null,
        ?string $key = null,
    ): ChangedMessage {
        $body = ['data' => $data] + self::changeOptions($user, $key);
        return ChangedMessage::from($this->api->send('PATCH', "$this->path/messages/$offset", [], $body, $ifVersion));
    }

    /**
     * Appends text to a message whose data is a string, or an object with a string `text`.
     *
     * @param int             $offset    The message's offset.
     * @param int|string|null $user      As in `edit`.
     * @param int|null        $ifVersion As in `edit`.
     * @param string|null     $key       As in `edit`.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws JsonException If `$text` is not UTF-8.
     */
    public function append(
        int $offset,
        string $text,
        int|string|null $user = null,
        ?int $ifVersion = null,
        ?string $key = null,
    ): ChangedMessage {
        $path = "$this->path/messages/$offset/append";
        $body = ['text' => $text] + self::changeOptions($user, $key);
        return ChangedMessage::from($this->api->send('POST', $path, [], $body, $ifVersion));
    }

    /**
     * Deletes the data of a message for good. Its place, its author and its time stay.
     *
     * @param int             $offset    The message's offset.
     * @param string|null     $reason    A reason that the members receive, at most 256 bytes.
     * @param int|string|null $user      As in `edit`.
     * @param int|null        $ifVersion As in `edit`.
     * @param string|null     $key       As in `edit`.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     */
    public function deleteMessage(
        int $offset,
        ?string $reason = null,
        int|string|null $user = null,
        ?int $ifVersion = null,
        ?string $key = null,
    ): ChangedMessage {
        $query = ['reason' => $reason] + self::changeOptions($user, $key);
        return ChangedMessage::from(
            $this->api->send('DELETE', "$this->path/messages/$offset", $query, null, $ifVersion),
        );
    }

    /**
     * Deletes all messages that a user has published, the newest first. Their places, their author and their times stay.
     * Sends a request for each 100 messages. If one fails, call it again: what is deleted stays so. The user can publish
     * in the meantime, unless you ban the user first.
     *
     * @param string|null $reason A reason that the members receive, at most 256 bytes.
     *
     * @return int The number of messages deleted.
     *
     * @throws SnugException If a request is refused, or Snug cannot be reached.
     */
    public function deleteMessagesOf(int|string $user, ?string $reason = null): int
    {
        [$deleted, $before] = [0, null];
        do {
            $query = ['user' => (string) $user, 'reason' => $reason, 'before' => $before];
            $response = $this->api->send('DELETE', "$this->path/messages", $query);
            $deleted += $response['deleted'];
            $before = $response['cursor'] ?? null;
        } while ($before !== null);
        return $deleted;
    }

    /** @return array<string, string> */
    private static function changeOptions(int|string|null $user, ?string $key): array
    {
        $options = ['user' => $user === null ? null : (string) $user, 'key' => $key];
        return array_filter($options, static fn (?string $value): bool => $value !== null);
    }

    /**
     * Reads one page of messages: the first ones after the offset `$after`, the last ones before the offset `$before`,
     * or the newest ones if neither is given.
     *
     * @param int             $limit The size of the page, 1 to 100.
     * @param int|null        $re    Reads only the replies to the message with this offset, deleted ones included.
     * @param int|string|null $user  Reads only the messages of this user, deleted ones included. A page can have fewer
     *                               than you asked for, even none, although there are more.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     */
    public function history(
        ?int $after = null,
        ?int $before = null,
        int $limit = 50,
        ?int $re = null,
        int|string|null $user = null,
    ): HistoryPage {
        $query = ['after' => $after, 'before' => $before, 'limit' => $limit, 're' => $re];
        $query['user'] = $user === null ? null : (string) $user;
        return HistoryPage::from($this->api->send('GET', "$this->path/messages", $query), $after !== null);
    }

    /**
     * Reads all messages after an offset, oldest first. Pages are requested as you iterate.
     *
     * @param int|null        $re   Reads only the replies to the message with this offset, deleted ones included.
     * @param int|string|null $user Reads only the messages of this user, deleted ones included.
     *
     * @return Generator<int, Message>
     *
     * @throws EpochChangedException If the room is deleted while you read.
     * @throws SnugException If a request is refused, or Snug cannot be reached.
     */
    public function messages(int $after = 0, ?int $re = null, int|string|null $user = null): Generator
    {
        $epoch = null;
        do {
            $page = $this->history(after: $after, limit: 100, re: $re, user: $user);
            if ($page->epoch !== ($epoch ??= $page->epoch)) {
                throw new EpochChangedException("room '$this->name' was deleted while its messages were read");
            }
            foreach ($page->messages as $message) {
                yield $message;
            }
            $after = $page->lastOffset ?? $after;
        } while ($page->hasMore);
    }

    /**
     * Lists the members, and counts them.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     */
    public function members(): Members
    {
        return Members::from($this->api->send('GET', "$this->path/members"));
    }

    /**
     * Returns the room's counters and sizes.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     */
    public function status(): RoomStatus
    {
        return RoomStatus::from($this->api->send('GET', $this->path));
    }

    /**
     * Closes all connections of a user. The user can join again while their token is valid.
     *
     * @param string|null $reason The reason that the user receives, at most 256 bytes.
     *
     * @return int The number of connections closed.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws InvalidArgumentException If the user id is empty, `.` or `..`.
     */
    public function kick(int|string $user, ?string $reason = null): int
    {
        return $this->remove($user, ['reason' => $reason]);
    }

    /**
     * Closes all connections of a user, and refuses new ones until the ban ends.
     *
     * @param int         $seconds How long the ban lasts, at most 315,360,000 (ten years).
     * @param string|null $reason  The reason that the user receives, at most 256 bytes.
     *
     * @return int The number of connections closed.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws InvalidArgumentException If the user id is empty, `.` or `..`.
     */
    public function ban(int|string $user, int $seconds, ?string $reason = null): int
    {
        return $this->remove($user, ['ban_seconds' => $seconds, 'reason' => $reason]);
    }

    /**
     * Lifts a user's ban.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws InvalidArgumentException If the user id is empty, `.` or `..`.
     */
    public function unban(int|string $user): void
    {
        $this->remove($user, ['ban_seconds' => 0]);
    }

    /**
     * Ends the tokens that a user got before a moment, such as a sign-out: closes the connections that use one, and
     * refuses such tokens. Clients that can get a new token reconnect.
     *
     * @param int        $seconds      The longest `ttl` of the user's tokens: the time for which they are refused.
     * @param float|null $issuedBefore The moment in seconds since 1970, as from `microtime(true)`. Default: now.
     *
     * @return int The number of connections closed.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws InvalidArgumentException If the user id is empty, `.` or `..`.
     */
    public function endTokens(int|string $user, int $seconds, ?float $issuedBefore = null): int
    {
        $moment = sprintf('%.3F', $issuedBefore ?? microtime(true));
        return $this->remove($user, ['ban_seconds' => $seconds, 'issued_before' => $moment]);
    }

    /**
     * Deletes the room: closes all connections, and erases everything that is stored. If the room is used again, it
     * starts a new epoch.
     *
     * @return int The number of connections closed.
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     */
    public function delete(): int
    {
        return $this->api->send('DELETE', $this->path)['closed'];
    }

    /**
     * Reads the dead events, oldest first: those that `WEBHOOK_URL` did not accept within a day, or that found no place
     * among the events that wait for it. Snug keeps 1,000 of a room.
     *
     * @param int $after Reads only events with a higher `seq`.
     *
     * @return Generator<int, RoomEvent>
     *
     * @throws SnugException If a request is refused, or Snug cannot be reached.
     */
    public function deadEvents(int $after = 0): Generator
    {
        do {
            $page = $this->api->send('GET', "$this->path/webhooks/dead", ['after' => $after, 'limit' => 100]);
            foreach ($page['events'] as $json) {
                $event = RoomEvent::from($json);
                $after = $event->seq;
                yield $event;
            }
        } while ($page['more']);
    }

    /** @param array<string, int|string|null> $query */
    private function remove(int|string $user, array $query): int
    {
        $path = "$this->path/members/" . self::pathSegment((string) $user, 'user');
        return $this->api->send('DELETE', $path, $query)['closed'];
    }

    /** Encodes a name as one path segment. URL parsers resolve `.` and `..` even if they are percent-encoded. */
    private static function pathSegment(string $name, string $kind): string
    {
        if (in_array($name, ['', '.', '..'], true)) {
            throw new InvalidArgumentException("a $kind cannot be named '$name'");
        }
        return rawurlencode($name);
    }
}
