<?php

declare(strict_types=1);

namespace Snug;

use Generator;
use InvalidArgumentException;
use JsonException;

/**
 * One room, as a back end sees it.
 *
 * Every method throws `Refused` where Snug says no, and `Unreachable` where it can't be asked.
 */
final class Room
{
    private string $path;

    /**
     * @internal by `Snug::room()`
     *
     * @throws InvalidArgumentException where no room can have the name
     */
    public function __construct(private Http $http, public readonly string $name)
    {
        $this->path = '/v1/rooms/' . self::segment($name);
    }

    /**
     * Publishes one message: stored, and then sent to all who are here.
     *
     * @param mixed           $data  anything that JSON has
     * @param string|null     $event its kind, for the application: at most 64 bytes
     * @param string|null     $key   1 to 64 bytes: published again under the same key, it is there once
     * @param int|string|null $user  who says it: by default the user that `Snug` was made with
     *
     * @throws SnugException
     * @throws JsonException where `$data` has no form in JSON
     */
    public function publish(
        mixed $data,
        ?string $event = null,
        ?string $key = null,
        int|string|null $user = null,
    ): Stored {
        return $this->publishAll(new Draft($data, $event, $key, $user))[0];
    }

    /**
     * Publishes up to 100 messages as one: all of them are stored, or none.
     *
     * @return list<Stored> in the same order
     *
     * @throws SnugException
     * @throws JsonException where their data has no form in JSON
     */
    public function publishAll(Draft ...$drafts): array
    {
        return Stored::listFrom($this->http->send('POST', "$this->path/messages", [], array_values($drafts)));
    }

    /**
     * Reads one page of messages: the oldest ones after an offset, or the newest ones before one, or without either
     * the newest ones.
     *
     * @param int $limit 1 to 100
     *
     * @throws SnugException
     */
    public function history(?int $after = null, ?int $before = null, int $limit = 50): Page
    {
        $query = ['after' => $after, 'before' => $before, 'limit' => $limit];
        return Page::from($this->http->send('GET', "$this->path/messages", $query));
    }

    /**
     * Reads every message after an offset, oldest first, page by page as they are asked for.
     *
     * @return Generator<int, Message>
     *
     * @throws SnugException `EpochChanged` where the room is deleted meanwhile
     */
    public function messages(int $after = 0): Generator
    {
        $epoch = null;
        do {
            $page = $this->history(after: $after, limit: 100);
            if ($page->epoch !== ($epoch ??= $page->epoch)) {
                throw new EpochChanged("$this->name was deleted while its messages were read");
            }
            foreach ($page->messages as $message) {
                $after = $message->offset;
                yield $message;
            }
        } while ($page->hasMore);
    }

    /**
     * Who is here.
     *
     * @throws SnugException
     */
    public function members(): Members
    {
        return Members::from($this->http->send('GET', "$this->path/members"));
    }

    /**
     * The room in numbers.
     *
     * @throws SnugException
     */
    public function status(): RoomStatus
    {
        return RoomStatus::from($this->http->send('GET', $this->path));
    }

    /**
     * Closes every connection of a user. Who has a token that still holds may join again.
     *
     * @param string|null $reason what the user is told, at most 256 bytes
     *
     * @return int how many connections were closed
     *
     * @throws SnugException
     */
    public function kick(int|string $user, ?string $reason = null): int
    {
        return $this->remove($user, null, $reason);
    }

    /**
     * Closes every connection of a user, and keeps the user out for a while.
     *
     * @param int         $seconds at most 315,360,000, ten years
     * @param string|null $reason  what the user is told, at most 256 bytes
     *
     * @return int how many connections were closed
     *
     * @throws SnugException
     */
    public function ban(int|string $user, int $seconds, ?string $reason = null): int
    {
        return $this->remove($user, $seconds, $reason);
    }

    /**
     * Lets a user in again who was banned.
     *
     * @throws SnugException
     */
    public function unban(int|string $user): void
    {
        $this->remove($user, 0, null);
    }

    /**
     * Closes every connection, and erases all that the room has stored. Under its name another one begins.
     *
     * @return int how many connections were closed
     *
     * @throws SnugException
     */
    public function delete(): int
    {
        return $this->http->send('DELETE', $this->path)['closed'];
    }

    /**
     * The events that `WEBHOOK_URL` did not take within a day, oldest first: the newest 1,000 of them.
     *
     * @param int $after the `seq` of the last one that was had
     *
     * @return Generator<int, Event>
     *
     * @throws SnugException
     */
    public function deadEvents(int $after = 0): Generator
    {
        do {
            $page = $this->http->send('GET', "$this->path/webhooks/dead", ['after' => $after, 'limit' => 100]);
            foreach ($page['events'] as $json) {
                $event = Event::from($json);
                $after = $event->seq;
                yield $event;
            }
        } while ($page['more']);
    }

    private function remove(int|string $user, ?int $banSeconds, ?string $reason): int
    {
        $path = "$this->path/members/" . self::segment((string) $user);
        return $this->http->send('DELETE', $path, ['ban_seconds' => $banSeconds, 'reason' => $reason])['closed'];
    }

    /** A name in a path. `.` and `..` would lead elsewhere, encoded or not. */
    private static function segment(string $name): string
    {
        if (in_array($name, ['', '.', '..'], true)) {
            throw new InvalidArgumentException("'$name' can't be named in a path");
        }
        return rawurlencode($name);
    }
}
