<?php

declare(strict_types=1);

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Route;
use Snug\Laravel\Tests\App\OrderShipped;

Route::get('/', static fn (): string => view('page')->render());

Route::get('/sign-in/{user}', static function (string $user): string {
    Auth::loginUsingId($user);
    return csrf_token();
});

Route::get('/sign-out', static function (): string {
    Auth::logout();
    return 'signed out';
});

Route::post('/dissolve', static function (): string {
    touch(getenv('APP_DATA') . '/dissolved');
    return 'dissolved';
});

Route::post('/ship/{order}', static function (Request $request, int $order): string {
    $kinds = ['public' => Channel::class, 'private' => PrivateChannel::class, 'presence' => PresenceChannel::class];
    $channels = [];
    foreach ($request->only(array_keys($kinds)) as $kind => $name) {
        $channels[] = new $kinds[$kind]($name);
    }
    $broadcast = broadcast(new OrderShipped($order, ...$channels));
    if ($request->boolean('others')) {
        $broadcast->toOthers();
    }
    return 'shipped';
});
