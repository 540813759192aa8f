<?php

declare(strict_types=1);

namespace Snug\Laravel;

use Illuminate\Broadcasting\Broadcasters\Broadcaster;
use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\Broadcasters\UsePusherChannelConventions;
use Illuminate\Contracts\Config\Repository;
use Illuminate\Http\Request;
use InvalidArgumentException;
use JsonException;
use Snug\NewMessage;
use Snug\SnugException;
use Symfony\Component\HttpKernel\Exception\AccessDeniedHttpException;

/**
 * Broadcasts over Snug: publishes events to the rooms of their channels, and issues a token for each channel that a
 * rule in routes/channels.php grants.
 */
final class SnugBroadcaster extends Broadcaster
{
    use UsePusherChannelConventions;

    /** The most rooms of one request to Snug. */
    private const ROOMS_MAX = 100;

    public function __construct(private SnugManager $snug, private Repository $config)
    {
    }

    /**
     * Answers a request of the Echo connector to `/broadcasting/auth`.
     *
     * Without `channel_name`, the response is the token of the connection, with which a user or a guest reaches public
     * channels. Otherwise it is a token for the room of that channel.
     *
     * @param Request $request
     *
     * @return array{token: string}
     *
     * @throws AccessDeniedHttpException If no rule grants the channel to the user.
     */
    public function auth($request)
    {
        $channel = $request->input('channel_name');
        if ($channel === null) {
            return ['token' => $this->connectionToken($request)];
        }
        $name = is_string($channel) ? $this->normalizeChannelName($channel) : '';
        if (!$this->isJoinable($channel) || !$this->retrieveUser($request, $name)) {
            throw new AccessDeniedHttpException();
        }
        return $this->verifyUserCanAccessChannel($request, $name);
    }

    /**
     * Returns a token for a channel's room.
     *
     * @param Request $request
     * @param mixed   $result What the rule returned. In a presence channel, the user's public profile.
     *
     * @return array{token: string}
     */
    public function validAuthenticationResponse($request, $result)
    {
        $channel = $request->input('channel_name');
        $isPresence = ChannelName::isPresence($channel);
        $user = $this->retrieveUser($request, $this->normalizeChannelName($channel));
        $capabilities = $this->config->get('snug.capabilities.' . ($isPresence ? 'presence' : 'private'));
        return ['token' => $this->snug->tokens()->mint(
            $this->idOf($user),
            [ChannelName::toRoom($channel) => $capabilities],
            $this->ttl(),
            $isPresence ? $this->profileFrom($result) : [],
        )];
    }

    /**
     * Publishes an event to channels. When this returns, Snug has stored it.
     *
     * @param array<mixed> $channels
     * @param string       $event
     * @param array<mixed> $payload
     *
     * @throws BroadcastException If Snug cannot be reached, or refuses the event for some of the channels.
     */
    public function broadcast(array $channels, $event, array $payload = [])
    {
        // Left out, or the connection that must not receive the event: the Echo connector ignores the event there.
        if (($payload['socket'] ?? null) === null) {
            unset($payload['socket']);
        }
        $refusals = [];
        try {
            $rooms = array_unique(array_map(ChannelName::toRoom(...), $this->formatChannels($channels)));
            $message = new NewMessage($payload, EventName::shorten($event));
            foreach (array_chunk($rooms, self::ROOMS_MAX) as $some) {
                foreach ($this->snug->publishTo($some, $message) as $result) {
                    if ($result->problem !== null) {
                        $refusals[] = "$result->room: {$result->problem->code}: {$result->problem->detail}";
                    }
                }
            }
        } catch (SnugException | InvalidArgumentException | JsonException $e) {
            throw new BroadcastException("Snug error: {$e->getMessage()}", 0, $e);
        }
        if ($refusals !== []) {
            throw new BroadcastException('Snug error: ' . implode('; ', $refusals));
        }
    }

    private function isJoinable(mixed $channel): bool
    {
        try {
            return is_string($channel) && ChannelName::isGuarded($channel) && ChannelName::toRoom($channel) !== '';
        } catch (InvalidArgumentException) {
            return false;
        }
    }

    /** @param Request $request */
    private function connectionToken($request): string
    {
        $user = $this->retrieveUser($request, '');
        [$id, $kind] = $user === null ? [$this->guestId($request), 'guest'] : [$this->idOf($user), 'public'];
        $grants = [ChannelName::PUBLIC_PREFIX . '*' => $this->config->get("snug.capabilities.$kind")];
        return $this->snug->tokens()->mint($id, $grants, $this->ttl());
    }

    /**
     * Returns the id of a guest: a hash of the random secret that the Echo connector sends with each request, so that
     * the id stays the same and other users, who see only the id, cannot take it over.
     *
     * @param Request $request
     */
    private function guestId($request): string
    {
        $secret = $request->input('guest');
        $isSecret = is_string($secret) && preg_match('/^[A-Za-z0-9-]{32,64}$/D', $secret) === 1;
        return 'guest:' . substr(hash('sha256', $isSecret ? $secret : random_bytes(16)), 0, 32);
    }

    private function idOf(mixed $user): string
    {
        return (string) (method_exists($user, 'getAuthIdentifierForBroadcasting')
            ? $user->getAuthIdentifierForBroadcasting()
            : $user->getAuthIdentifier());
    }

    /** @return array<string, mixed> */
    private function profileFrom(mixed $result): array
    {
        // Also resolves objects such as models, which have a JSON form.
        $profile = json_decode(json_encode($result, JSON_THROW_ON_ERROR), true, 512, JSON_THROW_ON_ERROR);
        return is_array($profile) ? $profile : [];
    }

    private function ttl(): int
    {
        return (int) $this->config->get('snug.jwt.ttl');
    }
}
