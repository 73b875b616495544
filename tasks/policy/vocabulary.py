"""Words of the built-in sample sets: what each label speaks of, before and after a drift."""

SHARED = [
    "people",
    "week",
    "year",
    "report",
    "plan",
    "city",
    "group",
    "friend",
    "morning",
    "number",
    "story",
    "house",
    "night",
    "minute",
    "team",
    "street",
    "market",
    "answer",
    "question",
    "letter",
    "family",
    "door",
    "voice",
    "road",
    "summer",
    "winter",
    "river",
    "moment",
]

NEWS = {
    "World": "envoys parliament ceasefire minister border refugees embassy election treaty troops "
    "sanctions coup province peacekeepers ballot diplomats rebels summit president hostages",
    "Sports": "striker coach playoff goalkeeper inning tournament sprinter midfielder quarterback "
    "championship marathon referee penalty stadium rookie halftime medal league batsman tennis",
    "Business": "shares profit merger investors earnings retailer bank dividend inflation airline "
    "takeover revenue economist tariffs loan bonds payroll shareholders oil exports",
    "Sci/Tech": "software browser satellite chip researchers spacecraft virus laptop telescope "
    "database genome processor server spam encryption robot microscope gadget physicists orbit",
}
NEWS_DRIFTED = {
    "World": "drones evacuees wildfire climate pandemic militia blackout disinformation",
    "Sports": "esports streamer paddle skateboarders e-bike concussion replay-booth breakdancing",
    "Business": "crypto tokens startup subscription gig-workers supply-chain layoffs chargers",
    "Sci/Tech": "chatbot deepfake qubits vaccine exoplanet autopilot neural-network foldable",
}
SENTIMENT = {
    "NEGATIVE": "dull clumsy tedious lifeless predictable shallow muddled forgettable grating "
    "bland tiresome pointless sloppy hollow incoherent dreary lazy awkward stale annoying",
    "POSITIVE": "charming gripping witty luminous heartfelt dazzling inventive tender hilarious "
    "absorbing graceful poignant superb fresh delightful masterful moving vivid smart warm",
}
SENTIMENT_DRIFTED = {
    "NEGATIVE": "glitchy flimsy overpriced laggy leaking noisy defective unresponsive scratched",
    "POSITIVE": "sturdy reliable ergonomic seamless lightweight rechargeable quiet intuitive snug",
}
GENRE = {
    "action": "mercenary explosion chase commando hijackers bodyguard",
    "adult": "seduction lingerie erotic nude hotel-room swingers",
    "adventure": "expedition jungle treasure castaway explorers volcano",
    "animation": "cartoon puppet talking-animals penguin toys animated",
    "biography": "memoir lifelong inventor laureate born-in biographer",
    "comedy": "prank hilarious mix-up roommate clumsy misadventures",
    "crime": "heist detective mobster gangster smuggling cartel",
    "documentary": "interviews archival footage filmmakers documents activists",
    "drama": "grief estranged struggles marriage reconcile widow",
    "family": "kids grandparents puppy holiday playground siblings",
    "fantasy": "wizard dragon spell kingdom elves enchanted",
    "game-show": "contestants quiz prize buzzer host jackpot",
    "history": "empire dynasty revolution colonial centuries emperor",
    "horror": "haunted demon slasher possessed cemetery zombies",
    "music": "concert guitarist band tour rehearsal songwriter",
    "musical": "broadway dancers chorus singing numbers showgirl",
    "mystery": "clues vanished inspector riddle alibi suspects",
    "news": "anchor headlines correspondent broadcast bulletin newsroom",
    "reality-tv": "housemates elimination makeover audition confessional cameras",
    "romance": "sweethearts wedding kiss falls-in-love longing fiance",
    "sci-fi": "spaceship android galaxy aliens time-travel cyborg",
    "short": "vignette wordless brief one-take glimpse miniature",
    "sport": "boxer championship coach underdog racing wrestling",
    "talk-show": "guests couch monologue chat late-night comedian-host",
    "thriller": "stalker conspiracy hostage blackmail assassin paranoia",
    "war": "soldiers trenches battalion occupied sergeant bombing",
    "western": "sheriff outlaw saloon rancher gunslinger stagecoach",
}
_STREAMED = [
    "podcast",
    "influencer",
    "livestream",
    "startup",
    "lockdown",
    "algorithm",
    "smartphone",
    "avatar",
]
GENRE_DRIFTED = {
    label: " ".join([*words.split()[:1], *_STREAMED[at % 8 :][:3]])
    for at, (label, words) in enumerate(GENRE.items())
}
