<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

use Illuminate\Notifications\Messages\BroadcastMessage;
use Illuminate\Notifications\Notification;

/** A notification of the test application. */
final class OrderPaid extends Notification
{
    /** @return list<string> */
    public function via(): array
    {
        return ['broadcast'];
    }

    public function toBroadcast(): BroadcastMessage
    {
        return new BroadcastMessage(['text' => 'paid']);
    }
}
